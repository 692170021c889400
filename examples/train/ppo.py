"""PPO on the bundled posts with klimit's callback: the run in docs/training.md.

    python ppo.py MODEL WHEELS ppo/          # MODEL and WHEELS as in examples/make/README.md

Needs trl 1.12, the last with a PPO trainer (`trl.experimental.ppo`), beside torch, peft and
transformers. The folder gets `log.json` and the trained model.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import torch
from datasets import Dataset
from peft import LoraConfig
from posts import POSTS, prompts, quality_reward, save_merged
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
    set_seed,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

from klimit.integrations.trl import FrontierCallback, Stop, text_reward


def main(model, wheels, folder):
    """Train, then save the log and the model."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.add_special_tokens({"pad_token": "<empty_output>"})  # one of its own, unlike the end
    frontier = FrontierCallback(POSTS, reward="quality", stop=Stop(efficiency=0.02, patience=5))
    reward = text_reward(
        frontier.wrap(quality_reward(wheels)), tokenizer, [row["prompt"] for row in prompts()]
    )
    args = PPOConfig(
        output_dir=folder, total_episodes=8 * 8, per_device_train_batch_size=8,
        num_mini_batches=1, num_ppo_epochs=2, lam=1.0, local_rollout_forward_batch_size=8,
        response_length=32, temperature=1.0, kl_coef=0.02, stop_token="eos", learning_rate=1.5e-4,
        lr_scheduler_type="constant", seed=0, bf16=False, use_cpu=True, logging_steps=1,
        gradient_checkpointing=False, save_strategy="no", report_to="none", disable_tqdm=True,
        num_sample_generations=0,
    )  # fmt: skip
    small = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    trainer = PPOTrainer(
        args=args, processing_class=tokenizer, ref_model=None, reward_model=reward,
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        value_model=LlamaForSequenceClassification(small),
        train_dataset=Dataset.from_list([{"input_ids": ids} for ids in reward.input_ids]),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
        callbacks=[frontier],
    )  # fmt: skip
    with frontier.watch(trainer):
        trainer.train()
    log = json.dumps(trainer.state.log_history, indent=1) + "\n"
    Path(folder, "log.json").write_text(log, encoding="utf-8")
    save_merged(trainer.policy_model, model, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
