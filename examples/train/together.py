"""Draw answers to all posts in one batch: what `make/shared_prompt.py` does post by post.

    python together.py MODEL samples/ --samples 8 --seed 7

For a few answers to each of many posts, reading the weights is most of the work, so one batch of all
posts is several times faster; it takes a few GB. The slices are as the other samplers write them.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))
from sample_transformers import prompt_tokens, stop_tokens, write_whole

POSTS = Path(__file__).parents[1] / "make" / "posts.jsonl"
MAX_TOKENS = 32


@torch.inference_mode()
def draw(model, prompts, *, samples, stop, generator):
    """Draw `samples` completions of each prompt, at temperature 1, with their log-probabilities.

    Parameters
    ----------
    prompts : token ids of each, padded on the left
    stop : token ids that end a completion; the one that is drawn counts as part of it

    Returns
    -------
    list of lists of token ids, prompt after prompt, and their log-probabilities in nats
    """
    longest = max(map(len, prompts))
    ids = torch.stack([torch.nn.functional.pad(one, (longest - len(one), 0)) for one in prompts])
    mask = torch.stack([torch.arange(longest) >= longest - len(one) for one in prompts]).long()
    place = (mask.cumsum(dim=1) - 1).clamp_min(0)
    output = model(ids, attention_mask=mask, position_ids=place, use_cache=True, logits_to_keep=1)
    cache = output.past_key_values
    cache.batch_repeat_interleave(samples)
    logits, mask, place = (
        x.repeat_interleave(samples, dim=0) for x in (output.logits[:, -1], mask, place[:, -1:])
    )
    drawn = [[] for _ in range(len(logits))]
    total = torch.zeros(len(logits), dtype=torch.float64)
    rows = torch.arange(len(logits))  # those that have not ended
    for step in range(MAX_TOKENS):
        log_p = torch.log_softmax(logits.float(), dim=-1)
        token = torch.multinomial(log_p.exp(), 1, generator=generator)
        total[rows] += log_p.gather(1, token)[:, 0].double()
        for row, one in zip(rows.tolist(), token[:, 0].tolist(), strict=True):
            drawn[row].append(one)
        going = (~torch.isin(token[:, 0], torch.tensor(sorted(stop)))).nonzero()[:, 0]
        if not len(going) or step == MAX_TOKENS - 1:
            break
        cache.batch_select_indices(going)
        rows, token, place = rows[going], token[going], place[going] + 1
        mask = torch.cat([mask[going], mask.new_ones(len(going), 1)], dim=1)
        logits = model(
            token, attention_mask=mask, position_ids=place, past_key_values=cache, use_cache=True
        ).logits[:, -1]
    return drawn, total


def main():
    """Draw the answers of one model, and write a slice for each post."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    lines = POSTS.read_text(encoding="utf-8").splitlines()
    posts = [json.loads(line) for line in lines]
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32).eval()
    prompts = [prompt_tokens(tokenizer, post["prompt"], chat=True) for post in posts]
    drawn, total = draw(
        model, prompts, samples=given.samples, stop=stop_tokens(model, tokenizer),
        generator=torch.Generator().manual_seed(given.seed),
    )  # fmt: skip
    texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
    given.folder.mkdir(parents=True, exist_ok=True)
    for number, post in enumerate(posts):
        own = range(number * given.samples, (number + 1) * given.samples)
        rows = [
            {"prompt_id": post["prompt_id"], "prompt": post["prompt"], "completion": texts[at],
             "logprob": total[at].item(), "tokens": len(drawn[at])}
            for at in own
        ]  # fmt: skip
        write_whole(given.folder / f"{post['prompt_id']}.0000.jsonl", rows)


if __name__ == "__main__":
    main()
