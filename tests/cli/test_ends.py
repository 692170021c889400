"""However a run ends, no file is half there, and nothing that was there is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from klimit import DataError
from klimit.cli.output import write_table

CLI = [sys.executable, "-m", "klimit"]
posix = pytest.mark.skipif(
    sys.platform == "win32", reason="needs signals, pipes and closed streams"
)


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_program_leaves_no_part_of_a_file(name, tmp_path):
    script = (
        "import sys, time, klimit.cli, klimit.cli.source, klimit._files, pathlib\n"
        "def load(*_, **__):\n"
        "    with klimit._files.whole_file(pathlib.Path('out.csv')) as file:\n"
        "        file.write(b'half'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
        "klimit.cli.source.Source.load = load\n"
        "sys.argv = ['klimit', 'limit', 'rows.jsonl']\nklimit.cli.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-getattr(signal, name), b"")
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed_are_nobody_to_talk_to(closed, quality):
    command = f'"{sys.executable}" -m klimit limit "$@" {closed}'
    for path, code in ((quality, 0), ("nowhere.parquet", 1)):
        done = subprocess.run(
            ["sh", "-c", command, "sh", str(path), "--kl", "1"], capture_output=True, timeout=60
        )
        assert done.returncode == code
        assert b"Traceback" not in done.stderr
        assert not done.stdout or closed == "2>&-"
        assert b"error" not in done.stdout


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_disk_that_fills_up_is_said_in_one_line_whatever_is_written(
    suffix, tmp_path, monkeypatch
):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs a device that is always full")
    monkeypatch.setattr("os.fdopen", lambda handle, mode: (os.close(handle), full.open(mode))[1])
    with pytest.raises(DataError, match=r"cannot be written: .*no space left on device") as caught:
        write_table(pl.DataFrame({"a": range(100_000)}), tmp_path / f"out{suffix}")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@posix
def test_a_pipe_is_not_replaced_by_a_file(klimit, quality, tmp_path):
    pipe = tmp_path / "out.csv"
    os.mkfifo(pipe)
    done = klimit("limit", quality, "--kl", "1", "--output", pipe)
    assert done.code == 2
    assert "is no regular file" in done.err
    with pytest.raises(DataError, match="is no regular file"):
        write_table(pl.DataFrame({"a": [1]}), pipe)
    assert pipe.is_fifo()


@posix
def test_a_link_leads_to_the_new_file_which_keeps_the_mode_of_the_old_one(tmp_path):
    file, link = tmp_path / "run-3.csv", tmp_path / "latest.csv"
    file.touch(mode=0o600)
    link.symlink_to(file.name)
    write_table(pl.DataFrame({"kl": [1.0]}), link)
    assert link.is_symlink()
    assert file.read_text() == "kl\n1.0\n"
    assert file.stat().st_mode & 0o777 == 0o600
