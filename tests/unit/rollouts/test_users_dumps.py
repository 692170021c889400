"""Dumps as users have them, against counts by hand: nothing is pooled, and no setting is a reward."""

import json
from datetime import date

import polars as pl
import pytest

from klimit import DataError
from klimit.audit.runs import within
from klimit.rollouts import read

PROMPTS = ("1+1?", "2+2?", "3+3?")


def rows(prompt="prompt", answer="response", reward="score", *, samples=4, **more):
    """Rows of three prompts; what is a function is asked for the number of the sample."""
    return [
        {prompt: p, answer: f"answer {i}", reward: (at + i) % 5 / 4}
        | {name: x(i) if callable(x) else x for name, x in more.items()}
        for at, p in enumerate(PROMPTS)
        for i in range(samples)
    ]


@pytest.fixture
def written(tmp_path):
    """Write files of records by name, and give the folder."""

    def write(files):
        for name, records in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".parquet":
                pl.DataFrame(records).write_parquet(path)
            elif path.suffix == ".csv":
                pl.DataFrame(records).write_csv(path)
            else:
                path.write_text("".join(json.dumps(row) + "\n" for row in records))
        return tmp_path

    return write


def test_outputs_of_reward_bench_are_told_by_the_models_in_their_names(written):
    answers = rows(answer="text", reward="results")
    found = read(written({f"{m}_outputs.jsonl": answers for m in ("llama-base", "llama-dpo")}))
    assert found.read_as == "reward-bench outputs"
    assert (found.policies, found.shape.most) == (("llama-base", "llama-dpo"), 4)


def test_scores_of_several_answers_are_not_passed_over_for_whether_the_best_was_found():
    found = read([{"prompt": x, "text": list("abc"), "scores": [0.5, 1.5, 2.5], "results": 1.0,
                   "num_correct": 1} for x in PROMPTS])  # fmt: skip
    assert (found.rewards, found.shape.most) == (("scores",), 3)


def test_samples_of_lm_eval_are_told_by_the_folders_of_their_models(written):
    sample = {"target": "4", "resps": [["4"]], "filtered_resps": ["4"], "metrics": ["acc"]}
    lines = [{"doc_id": i, "arguments": [[p, {}]], "acc": 1.0} for i, p in enumerate(PROMPTS)]
    lines = [line | sample for line in lines]
    name = "samples_gsm8k_2026-01-0{}T00-00-00.000.jsonl"
    found = read(written({f"{m}/{name.format(1)}": lines for m in ("gpt2", "distilgpt2")}))
    assert (found.policies, found.shape.most) == (("distilgpt2", "gpt2"), 1)
    again = read(written({f"gpt2/{name.format(day)}": lines for day in (1, 2)}) / "gpt2")
    assert (again.policies, again.shape.most) == ((), 2)  # two runs of a model that samples


@pytest.mark.parametrize(
    "name", ["attempt", "nll", "num_beams", "do_sample", "n_shot", "nwords", "ttft", "selected"]
)
def test_numbers_of_samples_losses_and_settings_are_no_rewards(name):
    assert read(rows(**{name: lambda i: i})).rewards == ("score",)


@pytest.mark.parametrize(("name", "values"), [("num_fewshot", (0, 5)), ("template", ("cot", "-"))])
def test_a_question_that_is_put_in_several_ways_is_several_prompts(name, values):
    table = [row for value in values for row in rows("question", **{name: value})]
    assert (read(table).shape.prompts, read(table).shape.most) == (6, 4)


@pytest.mark.parametrize("name", ["llm", "author", "sampler", "LM"])
def test_a_column_that_says_who_wrote_tells_policies_in_parquet_too(name, written):
    table = [row for who in ("gemma", "llama") for row in rows(**{name: who})]
    assert read(written({"a.parquet": table})).policies == ("gemma", "llama")


@pytest.mark.parametrize("name", ["is_greedy", "is_human"])
def test_answers_that_were_not_sampled_are_not_pooled_with_samples(name):
    found = read(rows(samples=5, **{name: lambda i: i == 0}))
    assert (found.rewards, found.policies) == (("score",), (name, f"not {name}"))
    assert found.filter(policy=f"not {name}").shape.most == 4


@pytest.mark.parametrize("name", ["Reviewer", "rated_by"])
def test_a_row_per_reviewer_is_no_row_per_sample(name):
    table = [row for who in ("Ann", "Bob") for row in rows("Prompt ID", **{name: who})]
    with pytest.raises(DataError, match="of a row per score make a column per score"):
        read(table)


@pytest.mark.parametrize(
    ("sides", "label"),
    [(("output_1", "output_2"), "preference"), (("response_a", "response_b"), "winner"),
     (("Answer A", "Answer B"), "vote"), (("completion1", "completion2"), "prefer")],
)  # fmt: skip
def test_a_verdict_on_two_answers_is_the_reward_of_neither(sides, label):
    pairs = [{"instruction": p, sides[0]: "x", sides[1]: "y", label: 1.0} for p in PROMPTS] * 4
    with pytest.raises(DataError, match=r"look like preference pairs; .* one row per sample"):
        read(pairs)
    each = [pair | {f"score_{end}": 0.5 for end in "ab"} for pair in pairs]
    assert sides[0][-1] not in "aA" or {"score_a", "score_b"} < set(read(each).rewards)
    assert read(pairs, reward=label).rewards == (label,)


def test_a_sheet_with_answers_and_scores_in_numbered_columns_is_a_row_per_prompt():
    sheet = [
        {"prompt": p} | {f"{what}_{n}": n / 4 if what == "score" else str(n) for n in range(1, 5)
                         for what in ("output", "score")}
        for p in PROMPTS
    ]  # fmt: skip
    assert str(read(sheet)) == "read 3 prompts x 4 samples, reward: score"


@pytest.mark.parametrize("name", ["info", "metadata", "request", "generationConfig"])
def test_the_model_of_a_sample_is_found_in_the_record_beside_it(name, written):
    said = [{name: {"model": who, "temperature": 1.0, "n": 4}} for who in ("m0", "m1")]
    found = read(written({"a.jsonl": [row for one in said for row in rows(**one)]}))
    assert (found.policies, found.shape.most) == (("m0", "m1"), 4)
    assert found.metadata == {"temperature": 1.0}
    steps = read([row for at in (1, 2) for row in rows(model="m", **{name: {"step": at}})])
    assert (steps.policies, steps.steps) == (("m",), (1, 2))
    turns = read(rows(**{name: lambda i: {"steps": i}}))  # of an agent
    assert turns.steps == ()
    judged = read([row for who in "xy" for row in rows(judgement={"model": who})])
    assert judged.policies == ()


def test_a_step_in_words_that_is_the_base_comes_first():
    run = read([row for step in ("100", "base", "20") for row in rows(step=step)])
    assert run.steps == ("base", "20", "100")
    base, parts, _ = within(run)
    assert (base.steps, [part.step for part in parts]) == (("base",), ["20", "100"])


@pytest.mark.parametrize("name", ["epoch_{}", "model-{}", "my_policy_{}", "exp_{}/out", "arm {}"])
@pytest.mark.parametrize("ends", ["12", "ab"])
def test_files_of_numbered_models_are_not_parts_of_one_policy(name, ends, written):
    files = [name.format(end) for end in ends]
    found = read(written({f"{file}.jsonl": rows() for file in files}))
    assert found.policies == tuple(file.removesuffix("/out") for file in files)
    assert found.shape.most == 4


def test_files_of_before_and_after_are_apart_whatever_their_prompts(written):
    files = {f"{x}_rl.jsonl": [r | {"prompt": r["prompt"] + x} for r in rows()]
             for x in ("pre", "post")}  # fmt: skip
    assert read(written(files)).policies == ("post_rl", "pre_rl")


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["base", "x", "y"])])
def test_text_of_few_values_that_a_table_keeps_as_numbers_is_text(kind):
    def table(*values, name="tag"):
        frame = pl.DataFrame([row for value in values for row in rows(**{name: value})])
        return frame.with_columns(pl.col(name).cast(kind))

    assert read(table("base", "y")).policies == ("base", "y")
    assert "(2 values of tag together)" in str(read(table("x", "y")))
    with pytest.raises(DataError, match=r"two prompt keys that disagree: 'prompt' .* 'judge'"):
        read(table("x", "y", name="judge"))


def test_samples_of_two_days_are_said_to_stand_together():
    days = [date(2026, 6, 1), date(2026, 6, 2)]
    frame = pl.concat(pl.DataFrame(rows()).with_columns(day=pl.lit(day)) for day in days)
    assert "(2 values of day together)" in str(read(frame))
