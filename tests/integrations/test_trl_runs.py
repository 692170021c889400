"""Real runs of TRL's GRPO and RLOO trainers on a tiny random model."""

import math

import numpy as np
import pytest

import klimit
from klimit.integrations.trl import FrontierCallback, Stop

pytestmark = [
    pytest.mark.torch,
    pytest.mark.extras("trl", "peft", "datasets", "transformers"),
    pytest.mark.filterwarnings("ignore"),  # of the libraries, about themselves
]


@pytest.fixture(scope="module")
def tiny():
    from tests.integrations import tiny_runs

    return tiny_runs


@pytest.fixture
def folder(tiny, tmp_path):
    return tiny.model(tmp_path / "model", tiny.tokenizer())


def adapters():
    from peft import LoraConfig

    return LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")


def train(
    tiny, folder, method, functions, callbacks, *, steps=6, model=None, peft_config=None, **options
):
    import trl
    from datasets import Dataset

    args = getattr(trl, f"{method}Config")(
        output_dir=f"{folder}-run", max_steps=steps, num_generations=4, max_completion_length=8,
        **(tiny.ARGUMENTS | options),
    )  # fmt: skip
    trainer = getattr(trl, f"{method}Trainer")(
        model=model or folder, args=args, processing_class=tiny.tokenizer(), reward_funcs=functions,
        train_dataset=Dataset.from_dict({"prompt": tiny.PROMPTS}), callbacks=callbacks,
        peft_config=peft_config,
    )  # fmt: skip
    trainer.train()
    return trainer


def logged(trainer, name):
    """By step, what was logged under this name."""
    rows = trainer.state.log_history
    return {row["step"]: row[f"frontier/{name}"] for row in rows if f"frontier/{name}" in row}


def base_samples(tiny, samples=64):
    rewards = np.random.default_rng(0).binomial(8, 1 / 18, samples * len(tiny.PROMPTS)) / 8
    return klimit.read({"prompt": np.repeat(tiny.PROMPTS, samples), "reward": rewards})


@pytest.mark.parametrize("method", ["GRPO", "RLOO"])
def test_a_run_without_reference_logs_gain_and_now_and_then_kl_and_limit(
    tiny, folder, method, capsys
):
    callback = FrontierCallback(base_samples(tiny), kl_every=2)
    trainer = train(
        tiny,
        folder,
        method,
        callback.wrap([tiny.sun]),
        [callback],
        beta=0.0,
        peft_config=adapters(),
    )
    assert set(logged(trainer, "gain")) == set(range(1, 7))
    assert set(logged(trainer, "least_kl")) == set(range(1, 7))
    for name in ("kl", "limit", "efficiency", "nats_from_optimal"):
        assert set(logged(trainer, name)) == {3, 5}, name
    assert 0 < logged(trainer, "kl")[3] < logged(trainer, "kl")[5]
    assert logged(trainer, "efficiency")[5] == pytest.approx(
        logged(trainer, "gain")[5] / logged(trainer, "limit")[5], rel=1e-4
    )
    assert "KL scoring" in capsys.readouterr().err
    assert callback.overhead.scoring > 0


def test_trackers_get_the_numbers_with_the_trainers_own(tiny, folder):
    from transformers import TrainerCallback

    class Tracker(TrainerCallback):
        rows = []  # noqa: RUF012

        def on_log(self, args, state, control, logs=None, **_):
            self.rows.append(dict(logs))

    callback = FrontierCallback(base_samples(tiny))
    train(tiny, folder, "GRPO", callback.wrap([tiny.sun]), [Tracker(), callback], steps=2)
    assert {"reward", "frontier/gain"} <= set(Tracker.rows[0])


def test_the_callback_changes_nothing_of_the_training(tiny, folder):
    callback = FrontierCallback(base_samples(tiny), kl_every=1)
    watched = train(
        tiny, folder, "GRPO", callback.wrap([tiny.sun]), [callback], peft_config=adapters()
    )
    alone = train(tiny, folder, "GRPO", [tiny.sun], [], peft_config=adapters())
    for row, other in zip(watched.state.log_history, alone.state.log_history, strict=True):
        for name in ("loss", "reward", "entropy", "grad_norm"):
            assert row.get(name) == other.get(name)


def test_the_kl_is_that_of_the_completions_that_were_just_drawn(tiny, folder):
    """Scored once more by hand, from the model as it was before the step's update."""
    import torch

    seen = []

    def copied(prompts, completions, completion_ids, **_):
        weights = {name: x.clone() for name, x in trained["model"].state_dict().items()}
        seen.append((weights, prompts, completion_ids))
        return tiny.sun(prompts, completions)

    trained = {}

    class Keep(FrontierCallback):
        def on_train_begin(self, args, state, control, **given):
            trained.update(given)
            super().on_train_begin(args, state, control, **given)

    callback = Keep(base_samples(tiny), kl_every=3, kl_samples=8)
    trainer = train(
        tiny, folder, "GRPO", callback.wrap([copied]), [callback], steps=4, peft_config=adapters()
    )
    weights, prompts, drawn = seen[3]
    model = trainer.model.eval()
    model.load_state_dict(weights)
    words, found = tiny.tokenizer(), []
    for at in range(0, len(prompts), 4):  # the first completion of each prompt
        ask = words(prompts[at])["input_ids"]
        ids = torch.tensor([ask + list(drawn[at])])
        with torch.no_grad():
            p = model(ids).logits[0, len(ask) - 1 : -1].log_softmax(-1)
            with model.disable_adapter():
                q = model(ids).logits[0, len(ask) - 1 : -1].log_softmax(-1)
        found.append(float((p.exp() * (p - q)).sum()))
    assert logged(trainer, "kl")[4] == pytest.approx(np.mean(found), rel=1e-4)


def test_the_base_of_an_adapter_trained_before_is_where_the_training_starts(tiny, folder):
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), adapters())
    for name, values in model.named_parameters():
        if "lora_B" in name:
            values.data.fill_(0.1)
    callback = FrontierCallback(base_samples(tiny), kl_every=1)
    options = {"model": model, "beta": 0.1, "steps": 2, "learning_rate": 0.0}
    trainer = train(tiny, folder, "GRPO", callback.wrap([tiny.sun]), [callback], **options)
    assert logged(trainer, "kl")[2] == pytest.approx(0.0, abs=1e-6)
    assert {name.split(".")[-2] for name, x in model.named_parameters() if x.requires_grad} == {
        "default"
    }


def test_a_base_on_disk_gives_the_kl_of_a_fully_trained_model(tiny, folder):
    callback = FrontierCallback(base_samples(tiny), base_model=folder, kl_every=2)
    trainer = train(tiny, folder, "GRPO", callback.wrap([tiny.sun]), [callback], steps=4)
    assert logged(trainer, "kl")[3] > 0


def test_without_adapters_or_base_the_trainers_own_kl_is_taken_a_step_later(tiny, folder):
    callback = FrontierCallback(base_samples(tiny))
    trainer = train(tiny, folder, "RLOO", callback.wrap([tiny.sun]), [callback], beta=0.05)
    rows = {row["step"]: row for row in trainer.state.log_history if "kl" in row}
    for step, kl in logged(trainer, "kl").items():
        before = rows[step - 1]
        assert kl == pytest.approx(before["kl"] * before["completions/mean_length"], abs=1e-6)
    assert len(logged(trainer, "kl")) == 5


def test_the_run_stops_by_its_rule(tiny, folder, capsys):
    callback = FrontierCallback(base_samples(tiny), kl_every=1, stop=Stop(kl=1e-6, patience=2))
    trainer = train(
        tiny,
        folder,
        "GRPO",
        callback.wrap([tiny.sun]),
        [callback],
        steps=20,
        peft_config=adapters(),
    )
    assert trainer.state.global_step < 6
    assert "kl was above 1e-06" in capsys.readouterr().out


def test_evaluation_is_logged_apart_and_never_stops_a_run(tiny, folder):
    import trl
    from datasets import Dataset

    callback = FrontierCallback(base_samples(tiny), kl_every=100)
    trainer = trl.GRPOTrainer(
        model=folder, processing_class=tiny.tokenizer(), reward_funcs=callback.wrap([tiny.sun]),
        args=trl.GRPOConfig(
            output_dir=f"{folder}-run", max_steps=2, num_generations=4, max_completion_length=8,
            eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=8, **tiny.ARGUMENTS,
        ),
        train_dataset=Dataset.from_dict({"prompt": tiny.PROMPTS}),
        eval_dataset=Dataset.from_dict({"prompt": tiny.PROMPTS[:2]}), callbacks=[callback],
    )  # fmt: skip
    trainer.train()
    assert any(
        math.isfinite(row.get("eval_frontier/gain", math.nan)) for row in trainer.state.log_history
    )
    assert len(callback.history) == 2


def test_a_reward_module_scores_rows_by_the_prompt_that_they_begin_with(tiny):
    import torch

    from klimit import DataError
    from klimit.integrations.trl import text_reward

    words, asked = tiny.tokenizer(), []

    def told(prompts, completions, completion_ids):
        asked.extend(zip(prompts, completions, strict=True))
        return [len(ids) for ids in completion_ids]

    module = text_reward([told, tiny.sun], words, tiny.PROMPTS[:2], weights=[1.0, 8.0])
    row = [*module.input_ids[1], *words("sun sun")["input_ids"], 1]
    ids = torch.tensor([[0, 0, *row, 0]])
    states = module.scorer(input_ids=ids, attention_mask=(ids != 0).long()).hidden_states
    assert asked == [(tiny.PROMPTS[1], "sun sun")]
    assert module.score(states[-1]).tolist() == [[[5.0]] * ids.shape[1]]
    with pytest.raises(DataError, match="none of the prompts"):
        module.scorer(input_ids=ids[:, 3:], attention_mask=torch.ones_like(ids[:, 3:]))
