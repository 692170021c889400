"""Log-probabilities that cannot be what they are taken for: errors and warnings, never silent numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, DataWarning
from klimit.audit.kl import measured_kl, truncated_share
from klimit.audit.kl.columns import Scores, _against_exact
from klimit.audit.rescore.tokens import token_rows
from tests.audit.two_tokens import KL, draw, rollouts


def texts(rng, *, samples=400, prompts=20, per_token=1.2, kl=0.01):
    """Sums over completions of 20 to 400 tokens, a policy `kl` nats a token from its base."""
    tokens = rng.integers(20, 400, samples)
    ref = -tokens * per_token * rng.uniform(0.7, 1.3, samples)
    ratio = rng.normal(kl * tokens, np.sqrt(2 * kl * tokens))
    return {"logprob": ref + ratio, "ref_logprob": ref, "tokens": tokens}, prompts


def run_of(columns, prompts, **more):
    return rollouts(columns, prompts=prompts, **more)


def test_sums_pass_without_a_word():
    assert measured_kl(run_of(*texts(np.random.default_rng(0)))).notes == ()


def test_means_over_tokens_are_refused_and_can_be_converted():
    columns, prompts = texts(np.random.default_rng(1))
    whole = measured_kl(run_of(columns, prompts))
    means = {name: columns[name] / columns["tokens"] for name in ("logprob", "ref_logprob")}
    words = ["a word or two"] * len(
        columns["tokens"]
    )  # which are not counted where tokens are known
    run = run_of({**means, "tokens": columns["tokens"], "completion": words}, prompts)
    with pytest.raises(DataError, match=r"means over tokens.*units='nats per token'"):
        measured_kl(run)
    assert_allclose(float(measured_kl(run, units="nats per token").kl), float(whole.kl))


def test_means_over_tokens_are_found_out_by_the_texts_where_tokens_are_not_stored():
    columns, prompts = texts(np.random.default_rng(2))
    means = {name: columns[name] / columns["tokens"] for name in ("logprob", "ref_logprob")}
    run = run_of(means, prompts, completion=["word " * int(n) for n in columns["tokens"]])
    with pytest.raises(DataError, match="characters"):
        measured_kl(run)


def test_means_of_completions_of_one_length_are_warned_of():
    rng = np.random.default_rng(3)
    ref = -rng.uniform(0.5, 3.0, 200)
    run = run_of({"logprob": ref + rng.normal(0.02, 0.2, 200).clip(max=-ref / 2), "ref_logprob": ref,
                  "tokens": [512] * 200}, 20)  # fmt: skip
    with pytest.warns(DataWarning, match="if they are means over tokens"):
        measured_kl(run)


def test_short_answers_are_not_taken_for_means():
    rng = np.random.default_rng(4)
    ref = -rng.uniform(0.5, 3.0, 200)
    columns = {"logprob": ref + rng.normal(0.02, 0.2, 200).clip(max=-ref / 2), "ref_logprob": ref}
    assert measured_kl(run_of({**columns, "tokens": rng.integers(1, 6, 200)}, 20)).kl.trusted


@pytest.mark.parametrize(("units", "factor"), [("bits", np.log2(np.e)), ("log10", np.log10(np.e))])
def test_bits_and_log10_are_told_by_the_exact_kl_and_can_be_converted(units, factor):
    columns = draw(np.random.default_rng(5), 6000)
    scaled = {name: columns[name] * factor for name in ("logprob", "ref_logprob")}
    run = run_of({**columns, **scaled}, 50)
    with pytest.raises(DataError, match=f"the ratio is that of {units}"):
        measured_kl(run)
    found = measured_kl(run, estimator="k1", units=units)
    assert abs(float(found.kl) - KL) < 0.06


def scored(ratio, exact, prompts=15):
    """Samples with these log ratios and the exact KL of each, dealt to prompts in turn."""
    size = len(ratio)
    ref, exact, tokens = (np.full(size, x) for x in (-100.0, exact, np.nan))
    return Scores([], np.arange(size) % prompts, ratio + ref, ref, exact, tokens, in_tokens=False)


@pytest.mark.parametrize("skewed", [False, True])
def test_few_skewed_log_ratios_are_not_taken_for_another_unit(skewed):
    """Of 15 x 8 samples; an answer of 1 in 100 that was not drawn leaves a gap without a spread."""
    rng = np.random.default_rng(11)
    right, wrong = np.log(0.99 / 0.9), np.log(0.01 / 0.1)
    for _ in range(4000):
        if skewed:  # answers of the policy are exponential with mean 8.1, of the base with mean 1
            ratio, exact = rng.exponential(7.1, 120) - np.log(8.1), 7.1 - np.log(8.1)
        else:
            ratio = np.where(rng.random(120) < 0.99, right, wrong)
            exact = 0.99 * right + 0.01 * wrong
        assert _against_exact(scored(ratio, exact)) == []


@pytest.mark.parametrize(
    ("kl", "prompts", "samples"), [(10, 15, 8), (5, 40, 8), (1, 100, 16), (0.3, 200, 16)]
)
def test_bits_are_found_out_by_enough_samples(kl, prompts, samples):
    rng = np.random.default_rng(12)
    found = 0
    for _ in range(20):
        ratio = rng.normal(kl, np.sqrt(2 * kl), prompts * samples) * np.log2(np.e)
        try:
            _against_exact(scored(ratio, kl, prompts))
        except DataError as error:
            found += "the ratio is that of bits" in str(error)
    assert found >= 16  # of 19 in 20 or more


def test_bits_are_warned_of_where_only_samples_tell():
    columns = draw(np.random.default_rng(6), 6000)
    scaled = {name: columns[name] * np.log2(np.e) for name in ("logprob", "ref_logprob")}
    with pytest.warns(DataWarning, match="units other than nats"):
        measured_kl(run_of(scaled, 50))


def test_sampled_and_exact_kl_that_disagree_are_warned_of():
    columns = draw(np.random.default_rng(7), 4000)
    run = run_of({**columns, "kl_rb": columns["kl_rb"] * 0.5}, 50)
    with pytest.warns(DataWarning, match="disagree beyond chance"):
        measured_kl(run)


def test_per_token_without_lengths_is_an_error():
    with pytest.raises(ArgumentError, match="needs the column tokens"):
        measured_kl(run_of(draw(np.random.default_rng(8), 40), 4), units="nats per token")


BAD = [
    ({"logprob": [0.3, 0.4, 0.2, 0.9]}, "look like probabilities"),
    ({"logprob": [30.0, 40.0, 25.0, 9.0]}, "look like losses"),
    ({"logprob": [-30.0, 4.0, -25.0, -9.0]}, r"positive in 1 of 4 samples \(4 for .* 'p1' \(row 2\)\)"),
    ({"ref_logprob": [-30.0, -np.inf, -25.0, -9.0]}, "the base cannot draw this completion"),
    ({"logprob": [-30.0, np.inf, -25.0, -9.0]}, "a finite number was expected"),
    ({"kl_rb": [0.5, -0.5, 0.5, 0.5]}, "never negative"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "said"), BAD)
def test_impossible_values_are_errors_that_name_the_row(wrong, said):
    columns = {"logprob": [-30.0] * 4, "ref_logprob": [-31.0] * 4, **wrong}
    with pytest.raises(DataError, match=said):
        measured_kl(run_of(columns, 2))


def test_rounding_a_little_above_zero_is_forgiven():
    run = run_of({"logprob": [1e-5, -0.1, -0.2, 0.0], "ref_logprob": [-0.1] * 4}, 2)
    assert np.isfinite(float(measured_kl(run).kl))


def test_a_hostile_prompt_id_does_not_reach_the_terminal():
    run = klimit.read({"prompt_id": ["\x1b[31m" + "x" * 500] * 2, "rm": [0.0, 1.0],
                       "logprob": [2.0, -9.0], "ref_logprob": [-1.0, -9.0]})  # fmt: skip
    with pytest.raises(DataError) as caught:
        measured_kl(run)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_truncation_is_known_from_the_reason_or_from_the_limit():
    rows = {"prompt_id": ["a"] * 4, "rm": [0.0] * 4, "tokens": [8, 8, 3, 2]}
    assert truncated_share(klimit.read(rows)) is None
    assert truncated_share(klimit.read({**rows, "max_tokens": [8] * 4})) == 0.5
    assert (
        truncated_share(klimit.read({**rows, "finish_reason": ["length", "stop", "stop", "stop"]}))
        == 0.25
    )


@pytest.mark.parametrize("column", ["finish_reason", "stop_reason"])
def test_a_completion_that_was_cut_is_given_no_end_token(column):
    rows = {"prompt": ["a"] * 3, "completion": ["a b"] * 3, "rm": [0.0] * 3,
            column: ["max_tokens", "end_turn", None]}  # fmt: skip

    class Tokenizer:
        bos_token, eos_token, eos_token_id = None, "</s>", 9

        def __call__(self, text, **_):
            return {"input_ids": [1, 2] if isinstance(text, str) else [[1, 2] for _ in text]}

    found = token_rows(klimit.read(rows), Tokenizer(), chat=None)
    assert [row.completion for row in found] == [(1, 2), (1, 2, 9), (1, 2, 9)]
