"""How the program behaves among others: colours, pipes, interrupts, hostile text, warnings."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from klimit._progress import Steps, steps
from klimit.cli.output import write_table

CLI = [sys.executable, "-m", "klimit"]


def in_a_terminal(*args, **environment):
    """Run with stdout on a pseudo-terminal; return the code and all that was shown."""
    pty = pytest.importorskip("pty")
    outer, inner = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [*CLI, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=inner,
        stderr=subprocess.DEVNULL,
        env=kept | {"TERM": "xterm-256color"} | environment,
    )
    os.close(inner)
    shown = b""
    while True:
        try:
            part = os.read(outer, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(outer)
    return process.wait(timeout=60), shown.decode()


def test_exit_codes_are_0_done_1_failed_2_wrong_use(klimit_process, quality):
    done = klimit_process("limit", quality, "--kl", "1")
    assert done.code == 0
    assert done.err == ""
    failed = klimit_process("limit", "nowhere.parquet")
    assert failed.code == 1
    assert failed.out == ""
    assert failed.err.count("\n") == 1
    wrong = klimit_process("limit", quality, "--kl", "-1")
    assert wrong.code == 2
    assert "Traceback" not in failed.err + wrong.err


def test_help_and_version_say_so_on_stdout(klimit):
    for args in [], ["--help"], ["limit", "--help"], ["best-of-n", "-h"], ["--version"]:
        done = klimit(*args)
        assert done.code == 0
        assert done.out
        assert not done.err


def test_help_shows_each_example_on_a_line_of_its_own(klimit):
    names = re.findall(
        r"^  (\S+)  +\S", klimit("--help").out.partition("Commands:")[2], re.MULTILINE
    )
    assert len(names) > 10
    for name in names:
        assert "\\b" not in klimit(name, "--help").out, name
    assert "\n  klimit limit rollouts.parquet --kl 0.5,1,2\n" in klimit("limit", "--help").out


def test_help_needs_well_under_0_6_seconds_of_the_processor(klimit_process):
    resource = pytest.importorskip("resource")
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert klimit_process("--help").code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.6


def test_no_colour_when_stdout_is_no_terminal(klimit_process, quality):
    assert "\x1b" not in klimit_process("limit", quality, "--kl", "1", TERM="xterm-256color").out


def test_colour_in_a_terminal_unless_no_color_is_set(quality):
    code, shown = in_a_terminal("limit", quality, "--kl", "1")
    assert code == 0
    assert "\x1b[1mAt a KL of 1 nat" in shown
    code, shown = in_a_terminal("limit", quality, "--kl", "1", NO_COLOR="1")
    assert code == 0
    assert "\x1b" not in shown


def test_sentences_fit_a_narrow_terminal_and_tables_stay_as_they_are(quality, klimit_process):
    wide = klimit_process("plan", quality, "--kl", "1").out
    code, shown = in_a_terminal("plan", quality, "--kl", "1", NO_COLOR="1", COLUMNS="60")
    shown = shown.replace("\r\n", "\n")
    assert code == 0
    assert shown.split() == wide.split()
    said, table = (
        {line for line in text.split("\n")[1:] if line.startswith("  ") is indented}
        for text, indented in ((shown, False), (wide, True))
    )
    assert max(map(len, said)) <= 60
    assert table <= set(shown.split("\n"))


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202ereward\r\n\x00\x7f"


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_control_characters_of_the_data_never_reach_the_terminal(klimit, write_jsonl, rows, json):
    path = write_jsonl([{"prompt_id": EVIL + r["prompt_id"], EVIL: r["quality"]} for r in rows])
    for args in ["limit", path, "--kl", "0.2"], ["best-of-n", path, "-n", "2"], ["describe", path]:
        done = klimit(*args, "--reward", EVIL, *json)
        shown = done.out + done.err
        assert done.code == 0, done.err
        assert all(line.isprintable() for line in shown.split("\n")), ascii(shown)
    done = klimit("plan", path, "--kl", "0.2", "--reward", EVIL, *json)
    assert all(line.isprintable() for line in (done.out + done.err).split("\n"))


@pytest.mark.parametrize("args", [["limit", EVIL], ["limit", "x", "--kl", EVIL], [EVIL]])
def test_control_characters_of_the_command_line_never_reach_the_terminal(klimit, args):
    done = klimit(*(arg.replace("\x00", "") for arg in args))
    assert done.code in (1, 2)
    assert done.err[:-1].isprintable()


def test_a_closed_pipe_ends_quietly(quality):
    process = subprocess.Popen(
        [*CLI, "limit", str(quality), "--kl", ",".join(["0.5"] * 3000)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupt_exits_with_130_and_no_traceback():
    script = (
        "import sys, time, klimit.cli, klimit.cli.source\n"
        "def load(*_, **__):\n    print('reading', flush=True)\n    time.sleep(60)\n"
        "klimit.cli.source.Source.load = load\n"
        "sys.argv = ['klimit', 'limit', 'rows.jsonl']\nklimit.cli.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert not out


def test_a_warning_is_one_line_and_the_answer_still_comes(klimit, write_jsonl, rows):
    for row in rows:
        row["prompt"] = "the same words" if row["prompt_id"] in ("p0", "p1") else row["prompt_id"]
    done = klimit("limit", write_jsonl(rows), "--kl", "0.2")
    assert done.code == 0
    assert re.fullmatch(r"warning: [^\n]+\n", done.err)


def test_a_program_that_cannot_show_a_letter_shows_its_code(klimit_process, write_jsonl, rows):
    path = write_jsonl([{"prompt_id": r["prompt_id"], "qualité": r["quality"]} for r in rows])
    done = klimit_process("limit", path, "--kl", "0.2", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.code == 0
    assert "qualit\\xe9" in done.out


def test_the_bar_waits_for_patience_and_needs_a_terminal(monkeypatch, capsys):
    shown = threading.Event()
    monkeypatch.setattr(Steps, "show", lambda job: shown.set())
    monkeypatch.setattr("klimit._progress.PATIENCE", 0.01)
    with steps("reading"):
        assert not shown.wait(0.1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with steps("reading"):
        assert shown.wait(5)


@pytest.mark.parametrize(
    "command",
    [
        ["describe"],
        ["gate", "quality.parquet", "--max-kl", "2"],
        ["labels", "--proxy", "quality", "-n", "20", "-o", "next.csv"],
        ["limit", "--kl", "1"],
    ],
)
def test_whatever_reads_rollouts_has_a_bar(command, klimit, quality, monkeypatch, tmp_path):
    shown = threading.Event()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Steps, "show", lambda job: shown.set())
    monkeypatch.setattr("klimit._progress.PATIENCE", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    klimit(command[0], quality, *command[1:])
    assert shown.wait(5)


def test_the_bar_shows_the_step_and_leaves_nothing_behind(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    job = Steps(["reading", "the limit"])
    job.show()
    job.next()
    assert job.bar.tasks[0].description == "the limit"
    job.hide()
    assert "Traceback" not in capsys.readouterr().err


def test_a_table_that_cannot_be_written_leaves_the_old_file_whole(tmp_path):
    class Broken:
        def write_csv(self, file):
            file.write(b"half")
            raise OSError(28, "No space left on device")

        write_parquet = write_csv

    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(Exception, match="cannot be written: no space left on device"):
        write_table(Broken(), target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
