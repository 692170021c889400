"""`klimit labels`, and `klimit hacking` with few labels: what is written, read back and said."""

import json

import polars as pl
import pytest

from tests.cli.test_schema import documented, entries, fits


@pytest.fixture
def scored(tmp_path):
    """A base with a proxy, and what people would say if they were asked."""
    import numpy as np

    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(30, 48))
    frame = pl.DataFrame({
        "prompt_id": np.repeat([f"p{i}" for i in range(30)], 48), "rm": proxy.ravel(),
        "human": (0.8 * proxy + 0.6 * rng.normal(size=proxy.shape)).ravel(),
    })  # fmt: skip
    path = tmp_path / "base.parquet"
    frame.drop("human").write_parquet(path)
    return path, frame.with_columns(sample=pl.int_range(pl.len()).over("prompt_id"))


def answered(table, frame):
    """Write what people say of the samples that a table asks for."""
    asked = pl.read_csv(table)
    asked.join(frame.drop("rm"), on=["prompt_id", "sample"]).write_csv(table)


def test_samples_to_label_are_written_and_their_labels_read_back(klimit, scored, tmp_path):
    path, frame = scored
    out = tmp_path / "to-label.csv"
    done = klimit("labels", path, "--proxy", "rm", "-n", "60", "--kl", "0.3", "-o", out)
    assert done.code == 0, done.err
    assert "Wrote 60 samples to label in " in done.out
    assert max(map(len, done.out.split("\n\n")[1].splitlines())) <= max(100, len(f"{out}."))
    assert "read it with klimit hacking --labels" in " ".join(done.out.split())
    asked = pl.read_csv(out)
    assert asked.columns == ["prompt_id", "sample", "rm", "label_chance", "label_round"]
    answered(out, frame)
    said = klimit("hacking", path, "--proxy", "rm", "--labels", out, "--kl", "0.1,0.3")
    assert said.code == 0, said.err
    assert "by 60 labels in" in " ".join(said.out.split())
    found = klimit("hacking", path, "--proxy", "rm", "--labels", out, "--kl", "0.1,0.3", "--json")
    document = json.loads(found.out)
    assert document["schema"] == "klimit.labels/1"
    kinds = documented("klimit.labels/1")
    seen = set()
    for entry, value in entries(document):
        assert entry in kinds, f"docs/cli.md does not describe {entry}"
        assert fits(value, kinds[entry]), f"{entry} is {value!r}, not {kinds[entry]}"
        seen.add(entry)
    assert seen <= set(kinds)


def test_it_is_said_when_a_first_round_asks_for_too_few_labels_to_be_read(klimit, scored, tmp_path):
    for number, few in (("48", True), ("60", False)):
        out = tmp_path / f"{number}.csv"
        done = klimit("labels", scored[0], "--proxy", "rm", "-n", number, "--kl", "0.3", "-o", out)
        assert ("ask for 50 in 10 prompts or more" in " ".join(done.out.split())) == few


def test_labels_that_are_text_are_named(klimit, scored, tmp_path):
    path, out = scored[0], tmp_path / "labels.csv"
    klimit("labels", path, "--proxy", "rm", "-n", "60", "--kl", "0.3", "-o", out)
    pl.read_csv(out).with_columns(gold=pl.lit("N/A")).write_csv(out)
    done = klimit("hacking", path, "--proxy", "rm", "--labels", out)
    assert done.code == 1
    assert "'gold' of a table of labels holds 'N/A'; numbers were expected" in done.err


def test_pairs_to_judge_are_written_and_their_judgements_read_back(klimit, scored, tmp_path):
    path, frame = scored
    out = tmp_path / "to-judge.csv"
    done = klimit("labels", path, "--proxy", "rm", "-n", "60", "--pairs", "--kl", "0.3", "-o", out)
    assert done.code == 0, done.err
    human = {(p, s): h for p, s, h in frame.select("prompt_id", "sample", "human").iter_rows()}
    rows = pl.read_csv(out)
    won = [
        "a" if human[p, a] > human[p, b] else "b"
        for p, a, b in rows.select("prompt_id", "sample_a", "sample_b").iter_rows()
    ]
    rows.with_columns(preferred=pl.Series(won)).write_csv(out)
    said = klimit("hacking", path, "--proxy", "rm", "--judgements", out, "--kl", "0.3")
    assert said.code == 0, said.err
    assert "a draw of the base: it is preferred" in " ".join(said.out.split())


def test_a_second_round_reads_the_first_from_its_table_and_both_are_read_back(
    klimit, scored, tmp_path
):
    path, frame = scored
    rounds = [tmp_path / f"round-{at}.csv" for at in (1, 2)]
    asked = ("labels", path, "--proxy", "rm", "--kl", "0.3")
    assert klimit(*asked, "-n", "60", "-o", rounds[0]).code == 0
    answered(rounds[0], frame)
    done = klimit(*asked, "-n", "40", "--labels", rounds[0], "-o", rounds[1])
    assert done.code == 0, done.err
    first, second = map(pl.read_csv, rounds)
    assert second["label_round"].unique().to_list() == [2]
    assert first.join(second, on=["prompt_id", "sample"]).is_empty()
    answered(rounds[1], frame)
    said = klimit("hacking", path, "--proxy", "rm", "--labels", tmp_path / "round-*.csv")
    assert "by 100 labels in" in " ".join(said.out.split())
    assert klimit(*asked, "-n", "40", "--labels", rounds[0], "-o", rounds[0]).code == 2


def test_a_second_round_of_pairs_reads_the_judgements_of_the_first(klimit, scored, tmp_path):
    path, _ = scored
    one, two = tmp_path / "judged.csv", tmp_path / "to-judge.csv"
    asked = ("labels", path, "--proxy", "rm", "--kl", "0.3", "-n", "60")
    assert klimit(*asked, "--pairs", "-o", one).code == 0
    pl.read_csv(one).with_columns(preferred=pl.lit("tie")).with_columns(
        preferred=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("a")).otherwise("preferred")
    ).write_csv(one)
    done = klimit(*asked, "--judgements", one, "-o", two)
    assert "Wrote 60 pairs to judge" in done.out, done.err
    assert pl.read_csv(two)["label_round"].unique().to_list() == [2]


def test_what_a_round_cannot_read_is_refused(klimit, scored, tmp_path):
    for options, said in (
        (("--gold", "rm", "--labels", "x.csv"), "one of --gold, --labels and --judgements"),
        (("--pairs", "--labels", "x.csv"), "with --pairs give --judgements"),
        (("--labels", tmp_path / "none.csv"), "none.csv"),
    ):
        done = klimit("labels", scored[0], "--proxy", "rm", "-n", "9", *options, "-o", "y.csv")
        assert done.code in (1, 2)
        assert said in done.err


def test_exactly_one_kind_of_gold_is_asked_for(klimit, scored):
    path, _ = scored
    for options in ((), ("--gold", "rm", "--labels", "x.csv")):
        done = klimit("hacking", path, "--proxy", "rm", *options)
        assert done.code == 2
        assert "exactly one of --gold, --labels and --judgements" in done.err


@pytest.mark.parametrize(
    ("asked", "name", "words"),
    [
        (("--seed", "-3"), "x.csv", "is not in the range"),
        ((), "x.json", "ends in .csv or .parquet"),
        (("--kl", "50"), "x.csv", "show policies up to"),
        (("--kl", "inf"), "x.csv", "a positive number of nats was expected"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_written(
    klimit, scored, tmp_path, asked, name, words
):
    done = klimit("labels", scored[0], "--proxy", "rm", "-n", "10", *asked, "-o", tmp_path / name)
    assert done.code in (1, 2)
    assert words in done.err
    assert not (tmp_path / name).exists()
