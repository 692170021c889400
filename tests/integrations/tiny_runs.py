"""Tiny random models and data for real runs of TRL's trainers, a few seconds each."""

WORDS = (
    *("the", "a", "sun", "rain", "is", "was", "bright", "cold"),
    *("and", "then", "why", "how", "say", "sky", "sea", "stone"),
)
PROMPTS = [
    f"{a} {b} the {c}" for a in ("why", "how") for b in ("is", "was") for c in ("sky", "sea")
]
SIZE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": None,
    "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip


def sun(prompts, completions, **_):
    """The share of words that are `sun`."""
    return [text.split().count("sun") / 8 for text in completions]


def dark(prompts, completions, **_):
    """A gold reward that falls where the other rises."""
    return [-text.split().count("sun") / 8 for text in completions]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", "<unk>", *WORDS]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
        padding_side="left",
    )  # fmt: skip


def model(folder, words):
    """A checkpoint on disk."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **SIZE)).save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


def value_model(words):
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(1)
    return LlamaForSequenceClassification(LlamaConfig(vocab_size=len(words), num_labels=1, **SIZE))


ARGUMENTS = {
    "learning_rate": 2e-2, "logging_steps": 1, "save_strategy": "no", "report_to": "none",
    "use_cpu": True, "bf16": False, "seed": 0, "disable_tqdm": True, "temperature": 1.0,
    "per_device_train_batch_size": 32, "gradient_checkpointing": False,
}  # fmt: skip
