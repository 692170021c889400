"""Draw completions of one prompt with one copy of the prompt's keys and values for all of them.

    python shared_prompt.py MODEL prompts.jsonl samples/ ...    # as sample_transformers.py

`examples/sample_transformers.py` repeats the prompt's key-value cache for each sample, and a long
prompt is then copied and read again for each sample and step. Here all samples attend to the one
copy, and only what they wrote themselves is kept per sample. The numbers are the same up to
rounding, the random numbers are drawn in the same order; on a busy processor it is about twice as
fast.
"""

import sys
from pathlib import Path

import torch
from transformers import AttentionInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward

sys.path.insert(0, str(Path(__file__).parents[1]))
import sample_transformers


def attend(module, query, key, value, mask, *, scaling=None, shared=None, **options):
    """Softmax attention over the shared prompt and the sample's own tokens together.

    query is (samples, heads, 1, d), key and value are (samples, groups, own tokens, d), those of
    the prompt (1, groups, length, d).
    """
    if shared is None:  # the prompt itself
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **options)
    prompt_key, prompt_value = (t[0] for t in shared[module.layer_idx])
    samples, heads, _, d = query.shape
    groups, length, _ = prompt_key.shape
    query = (query * scaling).view(samples, groups, heads // groups, d)
    by_group = query.transpose(0, 1).reshape(groups, -1, d)
    on_prompt = (by_group @ prompt_key.transpose(1, 2)).view(groups, samples, -1, length)
    on_own = query @ key.transpose(2, 3)
    scores = torch.cat([on_prompt.transpose(0, 1), on_own], dim=-1).softmax(dim=-1)
    of_prompt = scores[..., :length].transpose(0, 1).reshape(groups, -1, length) @ prompt_value
    out = of_prompt.view(groups, samples, -1, d).transpose(0, 1) + scores[..., length:] @ value
    return out.reshape(samples, 1, heads, d), None


AttentionInterface.register("shared_prompt", attend)


class _Shared:
    """What `draw` needs of a cache: the samples' own keys and values, and which samples go on."""

    def __init__(self, prompt_cache):
        self.prompt = [(layer.keys, layer.values) for layer in prompt_cache.layers]
        self.length = prompt_cache.get_seq_length()
        self.own = DynamicCache()

    def batch_repeat_interleave(self, samples):
        """Nothing to repeat: the prompt is shared."""

    def batch_select_indices(self, kept):
        self.own.batch_select_indices(kept)


class SharedPromptModel:
    """A causal language model that answers the calls of `sample_transformers.draw`."""

    def __init__(self, model):
        self.model = model
        self.model.set_attn_implementation("shared_prompt")

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, tokens, *, past_key_values=None, **options):
        if past_key_values is None:
            output = self.model(tokens, **options)
            output.past_key_values = _Shared(output.past_key_values)
            return output
        cache = past_key_values
        position = torch.full_like(tokens, cache.length + cache.own.get_seq_length())
        return self.model(
            tokens,
            position_ids=position,
            past_key_values=cache.own,
            shared=cache.prompt,
            **options,
        )


if __name__ == "__main__":
    plain = sample_transformers.AutoModelForCausalLM.from_pretrained

    class _Loader:
        @staticmethod
        def from_pretrained(*names, **options):
            return SharedPromptModel(plain(*names, **options))

    sample_transformers.AutoModelForCausalLM = _Loader
    sample_transformers.main()
