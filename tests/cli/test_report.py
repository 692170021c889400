"""`klimit report`: one file, whole or not there, and the same words as the other commands."""

import re

import polars as pl
import pytest

pytestmark = pytest.mark.extras("jinja2")


def test_it_writes_one_page_and_says_what_is_on_it(klimit, quality, tmp_path):
    before = set(tmp_path.iterdir())
    target = tmp_path / "report.html"
    done = klimit("report", quality, "-o", target)
    assert (done.code, done.err) == (0, "")
    assert set(tmp_path.iterdir()) - before == {target}
    lines = done.out.splitlines()
    assert lines[0] == "read 40 prompts x 32 samples, reward: quality"
    assert lines[2] in klimit("limit", quality).out
    assert re.fullmatch(rf"wrote {target} \(\d+ kB\); open it in a browser", lines[-1])
    page = target.read_text(encoding="utf-8")
    assert f"klimit report {quality} -o {target}" in page
    assert "SHA-256" in page


def test_the_reward_that_is_named_leads_and_the_others_stand_beside_it(klimit, quality, tmp_path):
    frame = pl.read_parquet(quality).with_columns(other=pl.col("quality") * -0.5)
    path, target = tmp_path / "two.parquet", tmp_path / "two.html"
    frame.write_parquet(path)
    done = klimit("report", path, "-o", target)
    assert done.code == 2
    assert "several rewards" in done.err
    assert klimit("report", path, "--reward", "quality", "-o", target).code == 0
    assert "Several rewards" in target.read_text(encoding="utf-8")


def test_policies_are_named_by_their_files(klimit, quality, tmp_path):
    frame = pl.read_parquet(quality).with_columns(quality=pl.col("quality") + 0.3)
    frame.write_parquet(tmp_path / "ppo.parquet")
    done = klimit(
        "report", quality, tmp_path / "ppo.parquet", "--kl", "0.4", "-o", tmp_path / "r.html"
    )
    assert done.code == 0
    assert "ppo gained +0.3" in done.out
    assert "What there is to gain" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "report.pdf"], "name a file that ends in .html or .htm"),
        (["-o", "no/report.html"], "a file in a folder that does not exist"),
        (["--focus", "0"], "0"),
        (["--gold", "human"], "no reward 'human'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(klimit, quality, options, said):
    done = klimit("report", quality, *options)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_it_does_not_write_over_what_it_reads(klimit, quality, tmp_path):
    target = tmp_path / "report.html"
    target.write_bytes(quality.read_bytes())
    done = klimit("report", target, "-o", target)
    assert done.code == 2
    assert "also read from" in done.err


def test_what_was_warned_of_stands_on_the_page_too(klimit, write_jsonl, rows, tmp_path):
    twins = [row | {"prompt": "the same"} for row in rows if row["prompt_id"] in ("p0", "p1")]
    rest = [row | {"prompt": f"text {row['prompt_id']}"} for row in rows[16:]]
    done = klimit("report", write_jsonl([*twins, *rest]), "-o", tmp_path / "r.html")
    assert done.code == 0
    assert done.err.count("warning: ") == 1
    assert "under more than one id" in done.err
    assert "under more than one id" in (tmp_path / "r.html").read_text(encoding="utf-8")
