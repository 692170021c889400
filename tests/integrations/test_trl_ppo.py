"""A real run of TRL's PPO trainer, which TRL had up to 1.12, on a tiny random model."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import klimit
from klimit import EstimateWarning
from klimit.integrations.trl import FrontierCallback, Stop, text_reward


def has_ppo():
    """Told by its folder: importing it warns that it is experimental."""
    found = importlib.util.find_spec("trl")
    return bool(found) and (Path(found.origin).parent / "experimental" / "ppo").is_dir()


pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not has_ppo(), reason="needs trl 1.12, the last with PPO"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def tiny():
    from tests.integrations import tiny_runs

    return tiny_runs


def make(tiny, folder, callback, *, updates=5, **options):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    words = tiny.tokenizer()
    weights = [1.0, 0.0]
    wrapped = callback.wrap([tiny.sun, tiny.dark], weights=weights)
    scored = text_reward(wrapped, words, tiny.PROMPTS, weights=weights)
    rows = [{"input_ids": ids} for ids in scored.input_ids * 8]
    args = PPOConfig(
        output_dir=str(folder / "run"), total_episodes=32 * updates, num_mini_batches=1,
        num_ppo_epochs=2, response_length=8, stop_token="eos", kl_coef=0.01,
        **{"num_sample_generations": 0} | tiny.ARGUMENTS | options,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(tiny.model(folder / "model", words))
    lora = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    return PPOTrainer(
        args=args, processing_class=words, model=model, ref_model=None, reward_model=scored,
        value_model=tiny.value_model(words), train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows[:16]), callbacks=[callback], peft_config=lora,
    )  # fmt: skip


def base_samples(tiny, samples=64):
    rewards = np.random.default_rng(0).binomial(8, 1 / 18, samples * len(tiny.PROMPTS)) / 8
    return klimit.read({"prompt": np.repeat(tiny.PROMPTS, samples), "reward": rewards})


def test_every_update_is_placed_with_the_trainers_own_kl(tiny, tmp_path):
    callback = FrontierCallback(base_samples(tiny), reward="reward", gold="dark")
    trainer = make(tiny, tmp_path, callback)
    with callback.watch(trainer):
        trainer.train()
    history = trainer.state.log_history
    theirs = {row["step"]: row for row in history if "objective/kl" in row}
    ours = {row["step"]: row for row in history if "frontier/gain" in row}
    assert set(ours) == set(theirs) == {1, 2, 3, 4, 5}
    for step, row in ours.items():
        assert row["frontier/kl"] == pytest.approx(theirs[step]["objective/kl"])
        assert row["frontier/gold_gain"] == pytest.approx(
            ours[1]["frontier/gain"] - row["frontier/gain"], abs=0.05
        )
    assert {"frontier/limit", "frontier/efficiency"} <= set(ours[5])


def test_the_scores_are_the_trainers_also_where_it_generates_samples(tiny, tmp_path):
    """Samples for a table are drawn near temperature 0: they are no rollouts."""
    callback = FrontierCallback(base_samples(tiny))
    trainer = make(tiny, tmp_path, callback, num_sample_generations=5, report_to="none")
    with callback.watch(trainer):
        trainer.train()
    own = base_samples(tiny).frame()["reward"].mean()
    scores = [
        row["objective/scores"] for row in trainer.state.log_history if "objective/scores" in row
    ]
    gains = [row["gain"] for row in callback.history]
    assert np.mean(gains) == pytest.approx(np.mean(scores) - own, abs=0.02)


def test_it_stops_inside_watch_and_warns_outside(tiny, tmp_path):
    callback = FrontierCallback(base_samples(tiny), stop=Stop(kl=-1.0, patience=2))
    trainer = make(tiny, tmp_path / "watched", callback, updates=6)
    with callback.watch(trainer):
        trainer.train()
    assert trainer.state.global_step == 2

    callback = FrontierCallback(base_samples(tiny), stop=Stop(kl=-1.0, patience=2))
    trainer = make(tiny, tmp_path / "alone", callback, updates=3)
    with pytest.warns(EstimateWarning, match=r"with callback\.watch"):
        trainer.train()
    assert trainer.state.global_step == 3
