"""Two random causal language models of three tokens on disk, with a tokenizer made on the spot."""

import itertools

import numpy as np

WORDS = ("a", "b", "</s>")
END = 2


def save(folder, *, seed, scale=1.0, words=WORDS, template=False):
    """A checkpoint whose next-token distributions depend on all that came before."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32,
        bos_token_id=None, eos_token_id=END, pad_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.normal_(0.0, scale)
    model.save_pretrained(folder)
    raw = Tokenizer(
        models.WordLevel({word: at for at, word in enumerate(words)}, unk_token=words[0])
    )
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=words[END])
    if template:
        tokenizer.chat_template = "{% for m in messages %}b {{ m['content'] }} {% endfor %}a"
    tokenizer.save_pretrained(folder)
    return folder


def completions(longest):
    """All completions of at most `longest` tokens: ended, or cut there."""
    found = []
    for size in range(1, longest + 1):
        for body in itertools.product(range(END), repeat=size - 1):
            found.append((*body, END))
            if size == longest:
                found += [(*body, token) for token in range(END)]
    return found


def log_table(folder, prompt, paths):
    """(paths, longest, vocabulary) log-probabilities of each next token, nan beyond the end."""
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder).eval()
    longest = max(map(len, paths))
    table = np.full((len(paths), longest, len(WORDS)), np.nan)
    for row, path in enumerate(paths):
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *path]])).logits[0]
        own = logits.double().log_softmax(-1).numpy()[len(prompt) - 1 : -1]
        table[row, : len(path)] = own
    return table
