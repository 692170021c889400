"""GRPO and RLOO runs of a tiny random model through TRL, for tests/golden/trl.

Needs trl, torch, transformers, datasets and, for the tables, wandb (which stays offline). Run it in
an empty folder: PYTHONPATH=REPOSITORY python -m tests.golden.make.trl_runs OUT. OUT gets what the
trainers wrote.
"""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": "."}

import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, set_seed
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from tests.integrations.tiny_runs import tokenizer

PROMPTS = ["why is the sky bright", "how cold is the sea", "say a stone", "then was the rain cold"]


def length_reward(completions, **_):
    """Shorter is better."""
    return [-len(text.split()) / 10 for text in completions]


def sun_reward(completions, log_extra=None, **_):
    """1 where the sun shines; the text's length goes along as a further column."""
    if log_extra:
        log_extra("n_words", [len(text.split()) for text in completions])
    return [float("sun" in text.split()) for text in completions]


def model(words):
    """A folder: the trainer loads its reference from where the model came from."""
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    special = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **special, **size)).save_pretrained("tiny")
    words.save_pretrained("tiny")
    return "tiny"


def train(trainer_class, config_class, folder, report_to, **extra):
    set_seed(0)
    torch.use_deterministic_algorithms(True)
    words = tokenizer()
    args = config_class(
        output_dir=folder, max_steps=3, per_device_train_batch_size=8, num_generations=4,
        max_completion_length=8, learning_rate=1e-2, logging_steps=1, save_strategy="no",
        log_completions=True, report_to=report_to, use_cpu=True, bf16=False, seed=0,
        reward_weights=[1.0, 0.5], disable_tqdm=True, temperature=1.0, run_name="tiny", **extra,
    )  # fmt: skip
    trainer = trainer_class(
        model=model(words), args=args, processing_class=words,
        reward_funcs=[length_reward, sun_reward],
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
    )  # fmt: skip
    trainer.train()
    return args


def main(out):
    args = train(GRPOTrainer, GRPOConfig, "grpo", "none")
    shutil.copytree("grpo/completions", out / "grpo" / "completions")
    told = {
        name: getattr(args, name)
        for name in ("reward_weights", "temperature", "beta", "num_generations")
    }
    (out / "grpo" / "config.json").write_text(json.dumps(told, indent=1) + "\n")
    train(RLOOTrainer, RLOOConfig, "rloo", "wandb")
    (out / "rloo").mkdir(parents=True)
    for table in sorted(Path("wandb").glob("offline-run-*/files/media/table/*.table.json")):
        shutil.copy(table, out / "rloo" / table.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
