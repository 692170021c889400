"""Draw base samples from a local causal language model, with exact log-probabilities.

    python sample_transformers.py MODEL prompts.jsonl samples/ --samples 256 --max-tokens 64

MODEL is a folder or a hub name that transformers can load. Each line of `prompts.jsonl` is
``{"prompt_id": ..., "prompt": ...}``. The output folder gets one JSONL file per prompt and slice,
written whole or not at all: stop the run whenever you like and start it again, and it goes on where
it stopped. `klimit.read("samples/")` reads the folder once your rewards have been added.

The sampling is plain: temperature 1, no top-p, no top-k, no penalties, so that the samples are the
model's own distribution and `logprob` is its log-probability. Needs torch and transformers.
"""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@torch.inference_mode()
def draw(model, prompt, *, samples, max_tokens, stop, generator):
    """Draw completions of one prompt; return their tokens and their log-probabilities.

    The prompt is read once and its key-value cache repeated for every sample, which is several
    times faster than giving the model the same prompt `samples` times.

    Parameters
    ----------
    model : a transformers causal language model
    prompt : (length,) token ids
    samples : completions to draw together, as many as memory allows
    max_tokens : longest completion
    stop : token ids that end a completion; the one that is drawn counts as part of it
    generator : torch.Generator on the CPU, one uniform number per sample and step

    Returns
    -------
    list of lists of token ids, and (samples,) log-probabilities in nats, summed over the sequence
    """
    output = model(prompt[None], use_cache=True, logits_to_keep=1)
    cache = output.past_key_values
    cache.batch_repeat_interleave(samples)
    logits = output.logits[:, -1].expand(samples, -1)
    drawn = torch.zeros(samples, max_tokens, dtype=torch.long)
    length = torch.zeros(samples, dtype=torch.long)
    logprob = torch.zeros(samples, dtype=torch.float64)
    rows = torch.arange(samples)  # the samples still in the batch
    going = torch.ones(samples, dtype=torch.bool)  # those of them without a stop token
    for step in range(max_tokens):
        log_p = torch.log_softmax(logits.float(), dim=-1)
        # Inverse transform sampling: the first token at which the cumulative sum passes `u`.
        cumulative = log_p.exp().cumsum(dim=-1, dtype=torch.float64)
        u = torch.rand(samples, 1, dtype=torch.float64, generator=generator)[rows].to(log_p.device)
        token = torch.searchsorted(cumulative, u * cumulative[:, -1:], right=True)
        chosen = log_p.gather(1, token)[:, 0].cpu()
        logprob[rows[going]] += chosen[going]
        drawn[rows[going], step] = token[:, 0].cpu()[going]
        length[rows[going]] += 1
        going &= ~torch.isin(token[:, 0].cpu(), torch.tensor(sorted(stop)))
        if not going.any():
            break
        if going.float().mean() < 0.75:  # dropping rows copies the cache, so do it now and then
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept.to(token.device))
            token, rows, going = token[kept.to(token.device)], rows[kept], going[kept]
        logits = model(token, past_key_values=cache, use_cache=True).logits[:, -1]
    return [row[:n].tolist() for row, n in zip(drawn, length, strict=True)], logprob


def prompt_tokens(tokenizer, prompt, *, chat, system=None):
    """Token ids of a prompt: as a chat turn where the model has a chat template, else as it is."""
    if not chat:
        return tokenizer(prompt, return_tensors="pt").input_ids[0]
    turns = [{"role": "user", "content": prompt}]
    if system is not None:
        turns.insert(0, {"role": "system", "content": system})
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids[0]


def stop_tokens(model, tokenizer):
    """The tokens that end a completion: the tokenizer's and the generation config's."""
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return {t for t in [tokenizer.eos_token_id, *configured] if t is not None}


def slice_seed(seed, prompt_id, part):
    """A seed of its own for every prompt and slice, so that any slice can be drawn again alone."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{part}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # torch wants a signed 64-bit number


def write_whole(path, rows):
    """Write JSONL to a temporary file, then rename it: a stopped run leaves no half file."""
    partial = path.with_name(path.name + ".part")
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.replace(partial, path)


def sample_prompt(model, tokenizer, record, folder, *, samples, slice_size, seed, **options):
    """Draw what is missing of one prompt, slice by slice; yield the path of each new file."""
    prompt_id, prompt = record["prompt_id"], record["prompt"]
    if not re.fullmatch(r"[A-Za-z0-9._-]+", prompt_id):
        raise SystemExit(
            f"prompt_id {prompt_id!r} names a file: use letters, digits, '.', '_', '-'"
        )
    chat, system = options.get("chat", False), options.get("system")
    tokens = prompt_tokens(tokenizer, prompt, chat=chat, system=system).to(model.device)
    for part in range(-(-samples // slice_size)):
        path = folder / f"{prompt_id}.{part:04d}.jsonl"
        if path.exists():
            continue
        completions, logprob = draw(
            model,
            tokens,
            samples=min(slice_size, samples - part * slice_size),
            max_tokens=options["max_tokens"],
            stop=stop_tokens(model, tokenizer),
            generator=torch.Generator().manual_seed(slice_seed(seed, prompt_id, part)),
        )
        texts = tokenizer.batch_decode(completions, skip_special_tokens=True)
        write_whole(
            path,
            [
                {
                    "prompt_id": prompt_id,
                    "prompt": prompt,
                    "completion": text,
                    "logprob": total,
                    "tokens": len(drawn),
                }
                for text, total, drawn in zip(texts, logprob.tolist(), completions, strict=True)
            ],
        )
        yield path


def main(arguments=None):
    """Read the prompts, load the model, draw what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("prompts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=256, help="per prompt")
    parser.add_argument("--slice-size", type=int, default=128, help="samples drawn together")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chat", action="store_true", help="apply the model's chat template")
    parser.add_argument("--system", help="system message of the chat template")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)

    lines = given.prompts.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    given.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=getattr(torch, given.dtype))
    model = model.to(given.device).eval()
    options = {"max_tokens": given.max_tokens, "chat": given.chat, "system": given.system}
    sizes = {"samples": given.samples, "slice_size": given.slice_size, "seed": given.seed}
    for record in records:
        for path in sample_prompt(model, tokenizer, record, given.folder, **sizes, **options):
            print(path, flush=True)


if __name__ == "__main__":
    main()
