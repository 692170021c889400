"""GRPO on the bundled posts with klimit's callback: the run in docs/training.md.

    python grpo.py MODEL WHEELS grpo/        # MODEL and WHEELS as in examples/make/README.md

Needs torch, trl 1.16, peft and transformers; 20 steps of 16 completions take minutes on two processor
cores. The folder gets the completions as TRL logs them, `log.json` and the trained model.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datasets import Dataset
from posts import POSTS, prompts, quality_reward, save_merged
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer

from klimit.integrations.trl import FrontierCallback, Stop


def main(model, wheels, folder):
    """Train, then save the log and the model."""
    from peft import LoraConfig

    set_seed(0)
    frontier = FrontierCallback(
        POSTS, reward="quality", kl_every=4, kl_samples=8, stop=Stop(efficiency=0.02)
    )
    args = GRPOConfig(
        output_dir=folder, max_steps=20, per_device_train_batch_size=16, num_generations=4,
        max_completion_length=32, learning_rate=1.5e-4, lr_scheduler_type="constant", seed=0,
        model_init_kwargs={"dtype": "bfloat16"}, bf16=False, use_cpu=True, logging_steps=1,
        gradient_checkpointing=False, save_strategy="no", report_to="none", disable_tqdm=True,
        log_completions=True, num_completions_to_print=1,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=model, args=args, train_dataset=Dataset.from_list(prompts()),
        reward_funcs=frontier.wrap(quality_reward(wheels)), callbacks=[frontier],
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
    )  # fmt: skip
    trainer.train()
    log = json.dumps(trainer.state.log_history, indent=1) + "\n"
    Path(folder, "log.json").write_text(log, encoding="utf-8")
    save_merged(trainer.model, model, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
