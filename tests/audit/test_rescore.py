"""Scoring again with checkpoints on disk, against exact enumeration of tiny models."""

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, DataWarning
from klimit.audit.kl import measured_kl
from klimit.audit.rescore import rescore, scoring
from klimit.audit.rescore.checkpoints import load
from klimit.audit.rescore.tokens import Row
from klimit.integrations._kl import base_of
from tests.audit.tiny_checkpoints import END, WORDS, completions, log_table, save

pytestmark = pytest.mark.torch

PROMPTS = ((0,), (1, 0, 1))
LONGEST = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return save(root / "policy", seed=1, scale=0.3), save(root / "base", seed=2, scale=0.3)


def every_completion(**more):
    """All completions of two prompts as rollouts of texts."""
    rows = {"prompt": [], "completion": [], "tokens": [], "rm": []}
    for prompt in PROMPTS:
        for path in completions(LONGEST):
            rows["prompt"].append(" ".join(WORDS[x] for x in prompt))
            rows["completion"].append(" ".join(WORDS[x] for x in path if x != END))
            rows["tokens"].append(len(path))
            rows["rm"].append(0.0)
    size = len(rows["rm"])
    settings = {"temperature": [1.0] * size, "max_tokens": [LONGEST] * size}
    return klimit.read({**rows, **settings, **more}, reward="rm")


def ids_of_all():
    """The same completions as token ids, which tell an end at the limit from a cut."""
    prompts = [list(prompt) for prompt in PROMPTS for _ in completions(LONGEST)]
    drawn = [list(path) for _ in PROMPTS for path in completions(LONGEST)]
    return {"prompt_token_ids": prompts, "completion_token_ids": drawn}


def truth(models, prompt):
    """Log-probabilities of all completions under both, and the exact next-token KL along each."""
    paths = completions(LONGEST)
    tables = [log_table(folder, prompt, paths) for folder in models]
    chosen = [
        np.array(
            [sum(table[row, t, x] for t, x in enumerate(path)) for row, path in enumerate(paths)]
        )
        for table in tables
    ]
    p, q = tables
    return *chosen, np.nansum((np.exp(p) * (p - q)).sum(-1), axis=-1)


@pytest.mark.parametrize("batch_size", [5, 256])
def test_scores_are_those_of_enumeration(models, batch_size):
    found = rescore(
        every_completion(**ids_of_all()), policy=models[0], base=models[1], batch_size=batch_size
    )
    frame = found.frame()
    size = len(completions(LONGEST))
    for at, prompt in enumerate(PROMPTS):
        own = frame[at * size : (at + 1) * size]
        for name, values in zip(
            ("logprob", "ref_logprob", "kl_rb"), truth(models, prompt), strict=True
        ):
            assert_allclose(own[name].to_numpy(), values, atol=2e-5)
        assert_allclose(np.exp(own["logprob"].to_numpy()).sum(), 1.0, atol=1e-5)


def test_the_mean_of_the_exact_values_is_the_kl_of_sequences(models):
    for prompt in PROMPTS:
        logprob, ref, exact = truth(models, prompt)
        chance = np.exp(logprob)
        assert_allclose(chance @ exact, chance @ (logprob - ref), rtol=1e-6)
        assert (
            chance @ (exact - chance @ exact) ** 2 < chance @ (logprob - ref - chance @ exact) ** 2
        )


def test_samples_of_the_policy_measure_its_enumerated_kl(models):
    rng = np.random.default_rng(4)
    paths, rows = (
        completions(LONGEST),
        {"prompt_token_ids": [], "completion_token_ids": [], "prompt_id": []},
    )
    kl = []
    for prompt in PROMPTS:
        logprob, ref, _ = truth(models, prompt)
        chance = np.exp(logprob) / np.exp(logprob).sum()
        kl.append(chance @ (logprob - ref))
        for at in rng.choice(len(paths), 300, p=chance):
            rows["prompt_token_ids"].append(list(prompt))
            rows["completion_token_ids"].append(list(paths[at]))
            rows["prompt_id"].append(str(prompt))
    base = {
        "rm": [0.0] * 600,
        "temperature": [1.0] * 600,
        "prompt": rows["prompt_id"],
        "completion": [""] * 600,
    }
    scored = rescore(klimit.read({**rows, **base}, reward="rm"), policy=models[0], base=models[1])
    exact = measured_kl(scored, prompts="fixed", level=0.999)
    sampled = measured_kl(scored, prompts="fixed", estimator="k1", level=0.999)
    assert exact.estimator == "rao-blackwell"
    for found in (exact, sampled):
        assert found.kl.low - 1e-3 <= np.mean(kl) <= found.kl.high + 1e-3
    assert exact.kl.high - exact.kl.low < sampled.kl.high - sampled.kl.low


def test_texts_end_with_the_end_token_unless_they_were_cut(models):
    with pytest.warns(DataWarning, match="another length than stored"):  # ended at the limit itself
        found = rescore(every_completion(), policy=models[0], base=models[1]).frame()
    drawn = [len(path) for _ in PROMPTS for path in completions(LONGEST)]
    at_limit = np.array(drawn) == LONGEST
    assert (found["tokens"].to_numpy() == drawn)[~at_limit].all()


def test_a_finish_reason_says_which_texts_were_cut(models):
    run = klimit.read({"prompt": ["a", "a"], "completion": ["a b", "a b"], "rm": [0.0, 1.0],
                       "finish_reason": ["length", "stop"]}, reward="rm")  # fmt: skip
    frame = rescore(run, policy=models[0], base=models[1]).frame()
    assert frame["tokens"].to_list() == [2, 3]
    assert frame["logprob"][1] < frame["logprob"][0]


def test_a_base_beside_a_training_is_loaded_as_others_are(tmp_path, models):
    pair = load(*models, device="cpu", dtype="float32")
    found = base_of(pair.policy, models[1])
    assert not found.training
    assert not any(one.requires_grad for one in found.parameters())
    with pytest.raises(ArgumentError, match="holds no causal language model"):
        base_of(pair.policy, tmp_path)


def test_messages_and_chat_texts_are_rendered_by_the_template(tmp_path, models):
    policy = save(tmp_path / "chat", seed=1, scale=0.3, template=True)
    rows = {"completion": ["a", "b"], "rm": [0.0, 1.0], "prompt_id": ["x", "x"]}
    messages = [[{"role": "user", "content": "b b"}]] * 2
    by_messages = rescore(
        klimit.read({**rows, "prompt": messages}, reward="rm"), policy=policy, base=models[1]
    )
    by_chat = rescore(klimit.read({**rows, "prompt": ["b b"] * 2}, reward="rm"), policy=policy,
                      base=models[1], chat=True)  # fmt: skip
    as_text = rescore(
        klimit.read({**rows, "prompt": ["b b b a"] * 2}, reward="rm"), policy=policy, base=models[1]
    )
    assert by_messages.frame()["logprob"].to_list() == as_text.frame()["logprob"].to_list()
    assert by_chat.frame()["logprob"].to_list() == as_text.frame()["logprob"].to_list()
    with pytest.raises(DataError, match="no chat template"):
        rescore(
            klimit.read({**rows, "prompt": messages}, reward="rm"), policy=models[0], base=models[1]
        )


def test_a_stopped_job_goes_on_where_it_stopped(tmp_path, models, monkeypatch):
    run, output = every_completion(**ids_of_all()), tmp_path / "scored.parquet"
    calls, real = [], scoring.score

    def stops(pair, rows):
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(pair, rows)

    how = {"policy": models[0], "base": models[1], "batch_size": 8, "output": output}
    monkeypatch.setattr(scoring, "score", stops)
    with pytest.raises(KeyboardInterrupt):
        rescore(run, **how)
    assert not output.exists()
    with pytest.raises(ArgumentError, match="parts of another job"):
        rescore(every_completion(), **how)
    rescore(run, **how)
    assert len(calls) == 3 + 6  # two of eight batches were kept
    assert not output.with_name("scored.parquet.parts").exists()
    again = klimit.read(output)
    assert_allclose(
        again.frame()["kl_rb"].to_numpy(), rescore(run, **{**how, "output": None}).frame()["kl_rb"]
    )
    assert again.frame()["ref_logprob"].null_count() == 0


def test_a_damaged_part_is_scored_again(tmp_path, models, monkeypatch):
    run, output = every_completion(**ids_of_all()), tmp_path / "scored.parquet"
    parts = output.with_name("scored.parquet.parts")
    monkeypatch.setattr(klimit.Rollouts, "write", lambda *_: None)
    monkeypatch.setattr("klimit.audit.rescore.parts.Parts.remove", lambda _: None)
    how = {"policy": models[0], "base": models[1], "batch_size": 8, "output": output}
    first = rescore(run, **how).frame()["logprob"]
    (parts / "000001.parquet").write_bytes(b"PAR1 cut")
    assert rescore(run, **how).frame()["logprob"].to_list() == first.to_list()


def test_missing_and_overlong_completions_are_left_out_and_said(models):
    run = klimit.read({"prompt": ["a"] * 3, "completion": ["a b", None, "a " * 50], "rm": [0.0, 1.0, 2.0]},
                      reward="rm")  # fmt: skip
    with pytest.warns(
        DataWarning, match=r"2 samples of 3 not scored \(1 without a completion, 1 too long\)"
    ):
        frame = rescore(run, policy=models[0], base=models[1]).frame()
    assert frame["logprob"].null_count() == 2


def test_stored_log_probabilities_of_another_policy_are_found_out(models):
    run = every_completion(**ids_of_all(), logprob=[-9.0] * 62)
    with pytest.warns(DataWarning, match="nats a token from those of the policy"):
        rescore(run, policy=models[0], base=models[1])


def test_a_few_texts_that_were_split_otherwise_are_no_other_policy(models, recwarn):
    run = every_completion(**ids_of_all())
    logprob = rescore(run, policy=models[0], base=models[1]).frame()["logprob"].to_list()
    logprob[3] += 50.0
    rescore(every_completion(**ids_of_all(), logprob=logprob), policy=models[0], base=models[1])
    assert not recwarn.list


def test_checkpoints_that_do_not_fit_are_refused(tmp_path, models):
    run = every_completion()
    with pytest.raises(ArgumentError, match="is no folder"):
        rescore(run, policy=tmp_path / "none", base=models[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="holds no causal language model"):
        rescore(run, policy=models[0], base=tmp_path / "empty")
    other = save(tmp_path / "other", seed=3, words=("a", "c", "</s>"))
    with pytest.raises(ArgumentError, match="different vocabularies"):
        rescore(run, policy=models[0], base=other)


@pytest.mark.parametrize("name", ["scores.txt", "missing/scores.parquet"])
def test_an_output_that_cannot_be_written_is_found_out_before_scoring(tmp_path, models, name):
    with pytest.raises(ArgumentError, match="output="):
        rescore(every_completion(), policy=models[0], base=models[1], output=tmp_path / name)


def test_weights_that_are_a_pickle_are_never_loaded(tmp_path, models):
    import shutil

    import torch

    shutil.copytree(models[1], tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ArgumentError, match="safetensors"):
        rescore(every_completion(), policy=models[0], base=tmp_path / "pickled")


def test_the_command_writes_what_the_function_returns(tmp_path, models):
    from klimit.cli import program

    source, output = tmp_path / "run.parquet", tmp_path / "scored.parquet"
    run = every_completion(**ids_of_all())
    run.write(source)
    words = [
        "rescore",
        source,
        "--policy-model",
        models[0],
        "--base-model",
        models[1],
        "-o",
        output,
    ]
    done = CliRunner().invoke(program, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "KL(policy || base) = " in done.output
    assert klimit.read(output).frame()["kl_rb"].null_count() == 0


def test_a_prompt_read_once_gives_the_scores_of_a_prompt_read_with_every_sample(models):
    pair = load(*models, device="cpu", dtype="float32")
    rows = [Row((1, 0, 1, 0), path) for path in completions(LONGEST)]
    shared = scoring.score(pair, rows)
    assert_allclose(shared, [scoring.score(pair, [row])[0] for row in rows], atol=2e-5)


def test_a_model_whose_cache_cannot_be_repeated_reads_the_whole(models, monkeypatch):
    pair = load(*models, device="cpu", dtype="float32")
    rows = [Row((1, 0, 1, 0), path) for path in completions(LONGEST)]
    shared = scoring.score(pair, rows)
    monkeypatch.setattr(scoring, "_repeats", lambda _: False)
    assert_allclose(shared, scoring.score(pair, rows), atol=2e-5)
