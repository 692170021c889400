"""Which samples are of one policy: what tells them apart, and what is said where nothing does."""

import json

import pandas as pd
import polars as pl
import pytest

from klimit import ArgumentError, DataError
from klimit.audit.runs import within
from klimit.rollouts import read


def rows(*, samples=4, prompts="ab", **more):
    """Rows of a few prompts; what is a function is asked for the number of the sample."""
    return [
        {"prompt": p, "answer": str(i), "rm": i / 8}
        | {name: x(i) if callable(x) else x for name, x in more.items()}
        for p in prompts
        for i in range(samples)
    ]


@pytest.fixture
def folder(tmp_path):
    """Write files of records by name."""

    def write(**files):
        for name, records in files.items():
            path = tmp_path / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in records))
        return tmp_path

    return write


def policies(source):
    base = read(source)
    assert base.shape.most == 4
    if len(base.policies) > 1:
        with pytest.raises(DataError, match="never pooled"):
            base.grouped()
    return base.policies


@pytest.mark.parametrize("name", ["method", "algorithm", "arm", "run_name", "variant"])
@pytest.mark.parametrize("model", [{}, {"model": "X"}])
def test_a_column_that_differs_tells_policies_whatever_constant_stands_beside_it(
    name, model, tmp_path
):
    tables = [rows(**model, **{name: one}) for one in ("dpo", "ppo")]
    assert policies(tables[0] + tables[1]) == ("dpo", "ppo")
    for one, table in zip("xy", tables, strict=True):
        pd.DataFrame(table).to_csv(tmp_path / f"{one}.csv", index=False)
    assert policies(tmp_path) == ("dpo", "ppo")


def test_columns_that_cross_make_policies_together():
    crossed = [r for m in "XY" for k in ("dpo", "ppo") for r in rows(model=m, method=k)]
    assert policies(crossed) == ("X dpo", "X ppo", "Y dpo", "Y ppo")
    kinds = [("base", None), ("tuned", "dpo"), ("tuned", "ppo")]
    nested = [row for m, k in kinds for row in rows(model=m, method=k)]
    assert policies(nested) == ("base", "tuned dpo", "tuned ppo")
    base, parts, _ = within(read(nested))
    assert base.policies == ("base",)
    assert [part.name for part in parts] == ["tuned dpo", "tuned ppo"]
    same = rows(model="m-base", method="none") + rows(model="m-ppo", method="ppo")
    assert policies(same) == ("m-base", "m-ppo")


def test_a_policy_that_is_told_by_a_column_keeps_the_others():
    frame = read(rows(model="X", method="dpo") + rows(model="X", method="ppo")).frame()
    assert set(frame["model"]) == {"X"}
    assert read(frame).policies == ("dpo", "ppo")
    half = read(rows(model="X", method="ppo") + rows(model="X", method=None))
    assert half.policies == ("ppo", None)


@pytest.mark.parametrize(
    ("column", "none", "name"),
    [("policy", None, "grpo"), ("policy", "", "grpo"), ("step", None, 100)],
)
def test_samples_that_name_no_policy_or_step_beside_others_can_be_chosen(column, none, name):
    both = read(rows(**{column: none}) + rows(**{column: name}))
    with pytest.raises(DataError, match=rf"\({name}, unnamed\), .*\(--{column} unnamed\)"):
        both.grouped()
    own = both.filter(**{column: "unnamed"})
    assert (len(own), getattr(own, {"policy": "policies", "step": "steps"}[column])) == (8, ())
    assert len(both.filter(**{column: [name, "unnamed"]})) == 16
    with pytest.raises(ArgumentError, match="no policy 'unnamed'"):
        read(rows(policy="dpo") + rows(policy="ppo")).filter(policy="unnamed")
    assert len(read(rows(policy="unnamed") + rows(policy="ppo")).filter(policy="unnamed")) == 8


def test_what_belongs_to_prompts_or_samples_tells_no_policies():
    by_prompt = rows(prompts="a", model="X", variant="sum") + rows(
        prompts="b", model="X", variant="product"
    )
    assert policies(by_prompt) == ("X",)
    numbers = iter(range(99))
    assert policies(rows(run_id=lambda i: f"r{next(numbers)}")) == ()
    assert policies(rows(label=lambda i: ("good", "bad")[i % 2])) == ()
    assert policies(rows(label="base") + rows(label="grpo")) == ("base", "grpo")


@pytest.mark.parametrize("more", [{}, {"model": "X"}])
@pytest.mark.parametrize(
    "files", [("dpo", "ppo"), ("dpo/a", "ppo/a"), ("kl_0.1", "kl_0.5"), ("x_1e-5", "x_1e-6"),
              ("llama-3-8b", "llama-3-70b")]
)  # fmt: skip
def test_files_of_other_names_that_share_prompts_are_policies(files, more, folder):
    where = folder(**{name: rows(**more) for name in files})
    assert policies(where) == tuple(name.removesuffix("/a") for name in files)
    with pytest.raises(DataError, match=r"by the names of its files .* files of one policy into"):
        read(where).grouped()


def test_files_in_folders_are_told_by_what_differs(folder):
    where = folder(**{f"{x}/step_{n}": rows() for x in ("dpo", "ppo") for n in (10, 20)})
    assert (policies(where), read(where).steps) == (("dpo", "ppo"), (10, 20))


def test_a_base_beside_policies_of_a_folder_pools_none_of_them(folder):
    files = ("base", "tuned/dpo", "tuned/ppo")
    assert policies(folder(**{name: rows() for name in files})) == files


def test_files_that_may_be_parts_of_one_policy_are_said_to_stand_together(folder):
    where = folder(out_1=rows(), out_2=rows())
    assert str(read(where)) == "read 2 prompts x 8 samples (2 sources together), reward: rm"
    assert "8 samples (24 in all) of 2 policies by the names of files (out, ppo) (2 sources" in str(
        read(folder(ppo=rows()))
    )
    (where / "ppo.jsonl").unlink()
    apart = folder(out_1=rows(), out_2=rows(prompts="cd"))
    assert str(read(apart)) == "read 4 prompts x 4 samples, reward: rm"


def test_ids_that_count_anew_in_every_file_pool_no_prompts(folder):
    sets = {
        name: [{"doc_id": i // 4, "score": i / 8} for i in range(8)] for name in ("gsm", "math")
    }
    assert policies(folder(**sets)) == ("gsm", "math")
    texts = {
        name: [row | {"question": f"{name} {row['doc_id']}"} for row in table]
        for name, table in sets.items()
    }
    assert str(read(folder(**texts))) == "read 4 prompts x 4 samples, reward: score"
    shards = dict(zip(("x_1", "x_2"), texts.values(), strict=True))
    for name in sets:
        (folder() / f"{name}.jsonl").unlink()
    assert str(read(folder(**shards))) == "read 4 prompts x 4 samples, reward: score"


def test_epochs_of_training_are_steps_and_those_of_an_evaluation_samples():
    assert read(rows(epoch=0) + rows(epoch=1)).steps == (0, 1)
    assert read(rows(samples=1, epoch=0.25) + rows(samples=1, epoch=0.5)).steps == (0.25, 0.5)
    found = read(rows(epoch=lambda i: i))
    assert (found.steps, found.shape.most) == ((), 4)
    assert "(4 values of epoch together)" in str(found)
    assert read(rows(step=3, epoch=0) + rows(step=4, epoch=0)).steps == (3, 4)


def test_of_columns_for_the_step_the_one_that_differs_is_it():
    assert read(rows(step=0, iteration=1) + rows(step=0, iteration=2)).steps == (1, 2)
    runs = [r for m in ("dpo", "ppo") for k in (0, 100) for r in rows(model=m, checkpoint=k)]
    assert (policies(runs), read(runs).steps) == (("dpo", "ppo"), (0, 100))


@pytest.mark.parametrize("name", ["seed", "run", "temperature", "batch_idx", "num_steps"])
def test_what_splits_the_samples_of_all_prompts_alike_is_said_to_stand_together(name):
    found = read(rows(**{name: 1}) + rows(**{name: 2}))
    assert str(found) == f"read 2 prompts x 8 samples (2 values of {name} together), reward: rm"
    assert "together" not in str(read(rows(**{name: lambda i: i})))  # each sample's own


def test_what_differs_from_sample_to_sample_is_not_said():
    why = iter(["stop"] * 5 + ["length"] * 11)
    table = rows(samples=8, finish_reason=lambda _: next(why), n_words=lambda i: i // 3 * i)
    assert str(read(table)) == "read 2 prompts x 8 samples, reward: rm"


def test_long_texts_of_a_large_file_stay_unread_and_short_ones_are_looked_at(tmp_path):
    path = tmp_path / "a.parquet"
    for length, said in ((1, True), (200, False)):
        frame = pl.DataFrame(rows(thing="x" * length) + rows(thing="y" * length))
        frame.write_parquet(path)
        assert "(2 values of thing together)" in str(read(frame))
        assert ("(2 values of thing together)" in str(read(path))) == said


@pytest.mark.parametrize("name", ["sampled_from", "tag", "split", "role"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_column_of_any_name_that_calls_samples_base_tells_policies(name, suffix, tmp_path):
    frame = pl.DataFrame(rows(**{name: "base"}) + rows(**{name: "ppo"}))
    getattr(frame, f"write_{suffix}")(tmp_path / f"a.{suffix}")
    assert policies(tmp_path / f"a.{suffix}") == ("base", "ppo")
    mixed = rows(**{name: lambda i: ("base", "x", "y", "z")[i]})  # a word of each sample
    assert policies(mixed) == ()
    won = rows(
        winner=lambda i: ("base", "ppo")[i % 2], preferredBy=lambda i: ("base", "ppo")[i % 2]
    )
    assert policies(won) == ()


@pytest.mark.parametrize("key", ["prompt", "prompt_id"])
def test_a_prompt_under_several_system_prompts_is_asked_about(key):
    table = [
        {key: row["prompt"], "rm": row["rm"], "system_prompt": one}
        for one in ("Be brief.", "Think.")
        for row in rows()
    ]
    with pytest.raises(DataError, match=f"'{key}' makes 2 prompts, 'system_prompt' makes 2"):
        read(table)
    assert read(table, prompt=[key, "system_prompt"]).shape.prompts == 4


@pytest.mark.parametrize("name", ["checkpoint_name", "model version", "Run", "engine", "ckpt"])
def test_a_column_whose_name_has_a_word_for_policies_tells_them(name):
    assert policies(rows(**{name: "v1"}) + rows(**{name: "v2"})) == ("v1", "v2")


@pytest.mark.parametrize("name", ["source", "kind", "Name"])
def test_a_column_of_any_kind_is_of_policies_where_one_is_called_base_and_else_said(name):
    assert policies(rows(**{name: "base"}) + rows(**{name: "ppo"})) == ("base", "ppo")
    found = read(rows(**{name: "x"}) + rows(**{name: "y"}))
    assert str(found) == f"read 2 prompts x 8 samples (2 values of {name} together), reward: rm"


@pytest.mark.parametrize("name", ["beta", "kl_coef", "learning_rate", "best_of"])
def test_settings_of_training_are_no_rewards(name):
    found = read(rows(**{name: 1}) + rows(**{name: 4}))
    assert found.rewards == ("rm",)
    assert name == "best_of" or f"2 values of {name} together" in str(found)


@pytest.mark.parametrize("name", ["rater_id", "turn", "turn_idx"])
def test_a_row_per_annotator_or_turn_is_no_row_per_sample(name):
    with pytest.raises(DataError, match="score make a column per score, of a row per turn"):
        read(rows(**{name: 1}) + rows(**{name: 2}))
    assert read(rows(turns=lambda i: i % 2)).shape.most == 4  # how many there were


def test_several_rows_of_one_sample_are_said():
    found = str(read(rows(sample_id=lambda i: i) * 2))
    assert found == "read 2 prompts x 8 samples (several rows of one sample_id), reward: rm"
    assert "several" not in str(read(rows(sample_id=lambda i: i)))


def test_dumps_of_frameworks_under_other_names_are_told_by_these(folder):
    dump = [
        {"input": p, "output": str(i), "gts": "4", "score": float(i % 2), "step": 0}
        for p in "ab"
        for i in range(4)
    ]
    assert policies(folder(dpo=dump, ppo=dump)) == ("dpo", "ppo")
    assert read(folder()).read_as == "verl rollouts"
    for name in ("out_1", "out_2"):
        folder(**{f"numbered/{name}": dump})
    assert "(2 sources together)" in str(read(folder() / "numbered"))


def test_epochs_of_inspect_are_samples_in_however_many_evaluations():
    table = [
        {"id": k, "epoch": e, "input": f"{k}?", "target": "1", "model": "m", "score_x": "C"}
        for _ in range(2)
        for k in range(2)
        for e in (1, 2)
    ]
    assert (read(table).read_as, policies(table)) == ("Inspect samples", ("m",))
    assert read(table).steps == ()


def test_a_prompt_id_in_several_languages_is_asked_about():
    table = [{"prompt_id": i // 4, "rm": i / 8, "lang": x} for x in ("en", "de") for i in range(8)]
    with pytest.raises(DataError, match="'prompt_id' makes 2 prompts, 'lang' makes 2"):
        read(table)


@pytest.mark.parametrize("name", ["target", "gts", "image_path", "passage"])
@pytest.mark.parametrize("key", ["prompt", "prompt_id"])
def test_a_prompt_with_several_truths_or_pictures_is_asked_about(key, name):
    table = [{key: row["prompt"], "rm": row["rm"]} for row in rows()]
    both = [row | {name: one} for one in ("x", "y") for row in table]
    with pytest.raises(DataError, match=f"'{key}' makes 2 prompts, '{name}' makes 2"):
        read(both)
    own = [row | {name: f"{row[key]}!"} for row in table]
    assert read(own).shape.prompts == 2
    each = [row | {name: str(at)} for at, row in enumerate(table)]  # a sample's own is no truth
    assert read(each).shape.prompts == 2


@pytest.mark.parametrize("name", ["subject", "subset", "category"])
def test_ids_without_texts_that_recur_in_several_subjects_are_asked_about(name):
    table = [{"id": i // 4, "rm": i / 8, name: x} for x in ("law", "math") for i in range(8)]
    with pytest.raises(DataError, match=f"'id' makes 2 prompts, '{name}' makes 2"):
        read(table)
    assert read([row | {"question": f"{row[name]} {row['id']}"} for row in table]).shape.rows == 16


@pytest.mark.parametrize("name", ["is_base", "isReference", "from_base", "policy_is_ref"])
@pytest.mark.parametrize("yes_no", [(1, 0), (True, False), ("yes", "No"), (1.0, 0.0)])
def test_a_column_that_says_which_samples_are_the_bases_is_no_reward_but_tells_policies(
    name, yes_no, folder
):
    yes, no = (rows(**{name: one}) for one in yes_no)
    assert read(yes + no).rewards == ("rm",)
    assert policies(yes + no) == policies(folder(x_1=yes, x_2=no)) == ("base", "policy")
    elsewhere = rows(prompts="cd", **{name: yes_no[1]})
    assert policies(yes + elsewhere) == ("base", "policy")


@pytest.mark.parametrize("name", ["is_policy", "is_trained", "is_fine_tuned", "tuned"])
def test_a_column_that_says_which_samples_are_the_policys_tells_them_apart(name):
    base, found, _ = within(read(rows(**{name: 0}) + rows(**{name: 1})))
    assert (base.policies, [part.name for part in found]) == (("base",), ["policy"])


def test_what_is_called_base_is_told_by_true_and_false_but_is_a_reward_in_numbers():
    assert policies(rows(base=True) + rows(base=False)) == ("base", "policy")
    assert read(rows(base=1.5)).rewards == ("rm", "base")
    assert read(rows(is_correct=1)).rewards == ("rm", "is_correct")


def test_base_samples_that_a_column_marks_are_the_base_whatever_models_are_called():
    marked = [rows(model=m, is_base=m == "m0") for m in ("m0", "m1", "m2")]
    assert policies(marked[0] + marked[1]) == ("base", "policy")
    assert policies([*marked[0], *marked[1], *marked[2]]) == ("base", "policy m1", "policy m2")
    two = [row for m in "ABC" for row in rows(policy=m, is_base=m != "B")]
    assert policies(two) == ("base A", "base C", "policy")


def test_a_mark_of_a_method_tells_policies_and_not_the_base():
    run = read(rows(is_sft=1) + rows(is_sft=0))
    assert run.policies == ("is_sft", "not is_sft")
    with pytest.raises(DataError, match="none is called base"):
        within(run)


def test_what_stands_together_is_said_of_the_samples_that_are_left(folder):
    run = read(folder(ppo_1=rows(), ppo_2=rows(), dpo=rows()))
    assert run.together == ("2 sources together",)
    assert run.filter(policy="dpo").together == ()
    assert run.filter(policy="ppo").together == ("2 sources together",)
    seeds = read([r for s in range(3) for r in rows(seed=s, step=s > 1)])
    assert seeds.together == ("2 values of seed together",)
    assert seeds.filter(step=True).together == ()
    assert "__" not in "".join(seeds.frame().columns)


def test_what_a_joined_column_tells_apart_stands_together_no_more():
    both = [r | {"id": s * 8 + i} for s in (0, 1) for i, r in enumerate(rows(seed=s))]
    run = read([{"sample_id": r.pop("id"), **r} for r in both])
    assert run.together == ("2 values of seed together",)
    who = [{"sample_id": i, "policy": "ab"[i // 8]} for i in range(16)]
    assert run.join(who, on="sample_id").together == ()


@pytest.mark.parametrize("base", [{"logprob": -2.0}, {"policy_logprobs": [-1.5, -0.5]}])
def test_files_that_spell_log_probabilities_in_their_own_ways_keep_them(base, folder):
    trained = rows(logprobs=[-1.0, -0.5, -0.5], reference_logprobs=[-1.0, -1.0, -1.0])
    own = [{"response" if x == "answer" else x: row[x] for x in row} for row in trained]
    both = read(folder(base=rows(**base), ppo=own))
    assert not both.frame()["completion"].null_count()
    found = (
        both.frame().group_by("policy").agg(pl.col("logprob", "ref_logprob").mean()).sort("policy")
    )
    assert found.rows() == [("base", -2.0, None), ("ppo", -2.0, -3.0)]


def test_files_that_spell_the_step_or_the_policy_in_their_own_ways_leave_none_without(folder):
    steps = read(folder(a=rows(step=0), b=rows(global_step=100)))
    assert steps.steps == (0, 100)
    both = read(folder(a=rows(policy="ppo"), b=rows(model="tiny")))
    assert both.policies == ("ppo", "tiny")
    with pytest.raises(
        DataError, match="--policy tiny"
    ):  # of what to choose, the less likely trained
        both.grouped()


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_reward_that_is_named_may_be_missing_from_some_files_whichever_comes_first(order, folder):
    own = dict(zip(order, (rows(), rows(prompts="cd", rouge=lambda i: i / 4)), strict=True))
    for asked in ({"reward": "rouge"}, {"weights": {"rouge": 1, "rm": 1}}):
        base = read(folder(**own), **asked)
        assert base.shape.prompts == 4
        assert base.frame()[base.rewards[0]].null_count() == 8
    with pytest.raises(ArgumentError, match="'rogue' is no column"):
        read(folder(**own), reward="rogue")
    other = folder(**{order[0]: [{"prompt": "a", "target": "x"}]})
    with pytest.raises((ArgumentError, DataError), match=r"no column|none of the rewards"):
        read(other, reward="rouge")
