"""GRPO on the poor proxy of `lexicon.py`: the run in docs/over-optimisation.md.

    python overoptimized.py MODEL WHEELS overopt/ [MINUTES]    # as in examples/make/README.md

Reads `overopt/base.parquet` (lexicon.py), needs what grpo.py needs. Every ten steps the adapters are saved;
stopped, also after MINUTES, the same command goes on from the last. The folder gets `log.json`.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datasets import Dataset
from lexicon import lexicon
from posts import prompts, quality_reward
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, set_seed
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from klimit.integrations.trl import FrontierCallback

STEPS, SAVED = 100, 10
LOOKED, FASTER = 40, 5.0  # the first 40 steps hardly moved the policy; then its rate was raised


def proxy(completions, **_):
    """The lexicon, as TRL calls reward functions."""
    return lexicon([one[0]["content"] for one in completions]).tolist()


class Trainer(GRPOTrainer):
    """Raises its learning rate once."""

    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = LambdaLR(
            optimizer or self.optimizer, lambda step: FASTER if step >= LOOKED else 1.0
        )
        return self.lr_scheduler


class Pause(TrainerCallback):
    """Save and stop at the first checkpoint after so many minutes."""

    def __init__(self, minutes):
        self.until = time.monotonic() + 60 * minutes

    def on_save(self, args, state, control, **_):
        control.should_training_stop |= time.monotonic() > self.until


def main(model, wheels, folder, minutes="inf"):
    """Train on from the last checkpoint; at the end save the log."""
    from peft import LoraConfig

    set_seed(0)
    frontier = FrontierCallback(
        Path(folder, "base.parquet"), reward="lexicon", gold="quality", kl_every=10, kl_samples=4
    )
    args = GRPOConfig(
        output_dir=folder, max_steps=STEPS, per_device_train_batch_size=4, num_generations=4,
        max_completion_length=32, learning_rate=1e-4, lr_scheduler_type="constant", seed=0,
        model_init_kwargs={"dtype": "float32"}, bf16=False, use_cpu=True, logging_steps=1,
        gradient_checkpointing=False, save_strategy="steps", save_steps=SAVED, report_to="none",
        disable_tqdm=True, reward_weights=[1.0, 0.0],
    )  # fmt: skip
    trainer = Trainer(
        model=model, args=args, train_dataset=Dataset.from_list(prompts()),
        reward_funcs=frontier.wrap([proxy, quality_reward(wheels)]),
        callbacks=[frontier, Pause(float(minutes))],
        peft_config=LoraConfig(
            r=16, lora_alpha=32, layers_to_transform=list(range(20, 30)),
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        ),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
    if trainer.state.global_step == STEPS:
        log = json.dumps(trainer.state.log_history, indent=1) + "\n"
        Path(folder, "log.json").write_text(log, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
