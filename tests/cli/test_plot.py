"""`klimit plot`: a picture that is whole or not there."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

FAILED, USAGE = 1, 2
drawing = pytest.mark.extras("matplotlib")


@pytest.fixture
def policy(tmp_path):
    """40 prompts x 8 samples of a policy at two steps, with their log-probabilities."""
    rng = np.random.default_rng(5)
    rows = [
        {"prompt_id": f"p{i}", "step": step, "quality": float(rng.normal(3 + step / 100)),
         "logprob": -20.0, "ref_logprob": -20.0 - step / 100 - float(rng.normal(0, 0.1))}
        for step in (50, 100) for i in range(40) for _ in range(8)
    ]  # fmt: skip
    path = tmp_path / "grpo.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


@drawing
@pytest.mark.parametrize(
    ("suffix", "starts"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_the_suffix_says_which_picture(klimit, quality, tmp_path, suffix, starts):
    target = tmp_path / f"limit{suffix}"
    done = klimit("plot", quality, "-o", target)
    assert done.code == 0
    assert not done.err
    assert done.out.endswith(f"wrote {target}\n")
    assert target.read_bytes().startswith(starts)
    assert target.stat().st_size > 5000
    first = target.read_bytes()
    klimit("plot", quality, "-o", target)
    assert target.read_bytes() == first
    assert sorted(tmp_path.iterdir()) == [target, quality]


@drawing
@pytest.mark.parametrize(
    "options",
    [
        ["--what", "best-of-n"],
        ["--what", "beta"],
        ["--what", "bounds", "--kl", "1"],
        ["--what", "allocation", "--kl", "0.5", "--dark"],
        ["--what", "convergence"],
        ["--plugin", "--kl", "4", "--title", "a $ sign"],
        ["--at", "1,0.5", "--at", "2,0.9"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("data", ["quality", "solved"])
def test_everything_that_can_be_asked_for_is_drawn(klimit, request, tmp_path, options, data):
    target = tmp_path / "picture.svg"
    done = klimit("plot", request.getfixturevalue(data), *options, "-o", target)
    assert done.code == 0, done.err
    assert not done.err
    assert "<path" in target.read_text()


@drawing
@pytest.mark.parametrize("proxy", ["similarity", "similarity,rouge"])
def test_gold_is_drawn_where_a_proxy_or_an_ensemble_is_optimised(klimit, tmp_path, proxy):
    posts = Path(__file__).parents[2] / "examples" / "posts.parquet"
    target = tmp_path / "proxy.svg"
    done = klimit("plot", posts, "--proxy", proxy, "--gold", "quality", "-o", target)
    assert done.code == 0, done.err
    assert "<path" in target.read_text()
    for wrong in (["--proxy", proxy], ["--gold", "quality"],
                  ["--proxy", proxy, "--gold", "quality", "--what", "beta"],
                  ["--proxy", proxy, "--gold", "quality", "--plugin"]):  # fmt: skip
        refused = klimit("plot", posts, *wrong, "-o", tmp_path / "none.svg")
        assert refused.code == 2
        assert refused.err.count("\n") == 1


@drawing
def test_a_run_is_drawn_in_proxy_and_gold(klimit, tmp_path):
    examples = Path(__file__).parents[2] / "examples"
    run, target = examples / "train" / "overoptimized.parquet", tmp_path / "run.svg"
    named = ["--proxy", "lexicon", "--gold", "quality"]
    done = klimit("plot", run, "--what", "audit", *named, "-o", target)
    assert done.code == 0, done.err
    assert "lexicon, at the right" in target.read_text()
    base = tmp_path / "base.parquet"
    pl.read_parquet(run).filter(pl.col("step") == 0).write_parquet(base)
    no_run = klimit("plot", base, "--what", "audit", *named, "-o", tmp_path / "none.svg")
    assert (no_run.code, no_run.err.count("\n")) == (2, 1)
    assert "give their samples as POLICY" in no_run.err
    two = klimit(
        "plot", base, run, "--proxy", "lexicon,similarity", "--gold", "quality", "-o", target
    )
    assert two.code != 0


@drawing
def test_policies_are_drawn_in_the_plane(klimit, quality, policy, tmp_path):
    target = tmp_path / "plane.png"
    done = klimit("plot", quality, policy, "-o", target)
    assert done.code == 0, done.err
    assert re.search(r"^grpo: read 40 prompts x 8 samples over 2 steps", done.out, re.MULTILINE)
    assert target.stat().st_size > 20_000


@pytest.mark.parametrize("name", ["limit.gif", "limit", "limit.csv"])
def test_other_suffixes_are_refused_in_one_line(klimit, quality, tmp_path, name):
    done = klimit("plot", quality, "-o", tmp_path / name)
    assert done.code == USAGE
    assert done.err.startswith("error: ")
    assert "ends in .png, .svg or .pdf" in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / name).exists()


@drawing
def test_what_is_drawn_of_the_base_alone_takes_no_policy(klimit, quality, policy, tmp_path):
    done = klimit("plot", quality, policy, "--what", "beta", "-o", tmp_path / "x.png")
    assert done.code == USAGE
    assert "drawn of BASE alone" in done.err


@drawing
def test_what_fails_leaves_nothing(klimit, quality, tmp_path):
    for options in (["--reward", "other"], ["--kl", "1,2"], ["--kl", "-1"]):
        done = klimit("plot", quality, *options, "-o", tmp_path / "x.png")
        assert done.code in (FAILED, USAGE)
        assert done.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == [quality]


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is not None, reason="matplotlib is here")
def test_without_matplotlib_it_says_what_to_install(klimit, quality, tmp_path):
    done = klimit("plot", quality, "-o", tmp_path / "x.png")
    assert done.code == FAILED
    assert (
        done.err == "error: a picture needs matplotlib; install it: pip install 'klimit[plot]'.\n"
    )


@drawing
def test_the_way_out_of_several_steps_is_an_option_of_this_command(klimit, policy, tmp_path):
    done = klimit("plot", policy, "-o", tmp_path / "x.png")
    assert done.code == 1
    assert "(--base-step 50)" in done.err
    assert klimit("plot", policy, "--base-step", "50", "-o", tmp_path / "x.png").code == 0
