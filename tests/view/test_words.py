"""Lines of a verdict: where they end, and how they are made whole again."""

import numpy as np
import pytest

import klimit
from klimit import select
from klimit.view.words import WIDTH, both, paragraph, sentences

SAID = "gains +0.0640 of it at a KL [0.0360, 0.0850], and that is 60 % of it for 2.5 nats"


@pytest.mark.parametrize("start", range(60, 90))
def test_no_line_ends_within_an_interval_or_between_a_number_and_its_unit(start):
    lines = paragraph("x" * start + " " + SAID).split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].count("[") == lines[0].count("]")
    assert not lines[1].startswith(("%", "nats"))
    assert " ".join(lines) == "x" * start + " " + SAID


@pytest.mark.parametrize("start", range(60, 90))
def test_a_sentence_is_whole_again_wherever_its_lines_end(start):
    said = "x" * start + " and a_na..._cut gains [0.1, 0.2], which it confirms: 20 % of it"
    assert sentences(f"{paragraph(said)}.\nAnother.") == [f"{said}.", "Another."]


def test_names_that_begin_alike_are_told_apart_when_they_are_cut():
    names = ("a_reward_model_of_two_layers", "a_reward_model_of_ten_layers")
    assert both(names, 40) == names
    proxy, gold = both(names, 20)
    assert proxy != gold
    assert max(len(proxy), len(gold)) <= 20


def test_each_line_of_a_verdict_for_programs_ends_a_sentence_and_that_for_people_fits():
    rng = np.random.default_rng(0)
    gold, error = rng.normal(size=(2, 20, 16))
    scores = klimit.read({"rm": gold + error, "other": gold - error, "human": gold})
    results = [
        klimit.hacking(scores, proxy="rm", gold="human"),
        klimit.ensemble(scores, proxies=["rm", "other"], gold="human"),
        select.compare(scores, proxy="rm", gold="human", n=[1, 4]),
        klimit.frontier(scores, reward="human", objective="win-rate"),
    ]
    for result in results:
        assert all(line.endswith((".", "?")) for line in result.to_dict()["verdict"])
        lines = str(result).split("\n\n")[0].split("\n")
        assert max(map(len, lines)) <= WIDTH
        assert not any(line.endswith("=") for line in lines)
