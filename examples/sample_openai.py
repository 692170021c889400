"""Draw base samples from an OpenAI-compatible server (vLLM, SGLang, llama.cpp ...).

    python sample_openai.py http://127.0.0.1:8000/v1 MODEL prompts.jsonl samples/ --samples 256

Each line of `prompts.jsonl` is ``{"prompt_id": ..., "prompt": ...}``. The output folder gets one
JSONL file per prompt and slice, written whole or not at all: stop the run whenever you like and
start it again, and it goes on where it stopped. Needs nothing but Python's standard library. A key,
where the server wants one, is read from the environment variable OPENAI_API_KEY.

The sampling is plain: temperature 1, top_p 1. Servers may add defaults of their own, often from the
model's generation_config.json: start vLLM with `--generation-config vllm`, or send what switches
them off, for example `--extra '{"top_k": -1, "min_p": 0, "repetition_penalty": 1}'`.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def ask(url, body, *, tries=6, wait=1.0, timeout=600):
    """POST JSON and return the answer; try again where the server is busy or away."""
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    while True:
        tries -= 1
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(500).decode(errors="replace")
            if not tries or (error.code < 500 and error.code not in (408, 429)):
                raise SystemExit(f"{url} answered {error.code}: {said!r}") from None
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if not tries:
                raise SystemExit(f"{url} does not answer: {error}") from None
        time.sleep(wait)
        wait *= 2


def read_choice(choice):
    """Completion, log-probability (nats, summed) and tokens of one choice; None where untold."""
    if "message" in choice:  # chat completions
        text = choice["message"]["content"] or ""  # null where the model said nothing
        told = (choice.get("logprobs") or {}).get("content")
        values = None if told is None else [token["logprob"] for token in told]
    else:
        text = choice["text"]
        values = (choice.get("logprobs") or {}).get("token_logprobs")
    if values is None:
        return {"completion": text, "logprob": None, "tokens": None}
    return {"completion": text, "logprob": sum(values), "tokens": len(values)}


def request_seed(seed, prompt_id, part, drawn):
    """A seed of its own for every request: one seed for all would draw the same samples again."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{part}/{drawn}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def draw(url, model, record, *, samples, max_tokens, seed, part=0, chat=False, extra=None):
    """Draw completions of one prompt, in as many requests as the server needs for them."""
    rows = []
    while len(rows) < samples:  # some servers ignore `n` and send one choice
        body = {
            "model": model,
            "n": samples - len(rows),
            "max_tokens": max_tokens,
            "temperature": 1.0,
            "top_p": 1.0,
            "seed": request_seed(seed, record["prompt_id"], part, len(rows)),
        }
        if chat:
            body |= {"messages": [{"role": "user", "content": record["prompt"]}], "logprobs": True}
            answer = ask(f"{url}/chat/completions", body | (extra or {}))
        else:
            body |= {"prompt": record["prompt"], "logprobs": 1}
            answer = ask(f"{url}/completions", body | (extra or {}))
        if not answer["choices"]:
            raise SystemExit(f"{url} sent no choices for prompt {record['prompt_id']!r}")
        about = {"prompt_id": record["prompt_id"], "prompt": record["prompt"]}
        rows += [about | read_choice(choice) for choice in answer["choices"]]
    return rows[:samples]


def write_whole(path, rows):
    """Write JSONL to a temporary file, then rename it: a stopped run leaves no half file."""
    partial = path.with_name(path.name + ".part")
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.replace(partial, path)


def missing_slices(records, folder, *, samples, slice_size):
    """What is still to be drawn: record, slice number, samples in it, and the file to write."""
    for record in records:
        prompt_id = record["prompt_id"]
        if not re.fullmatch(r"[A-Za-z0-9._-]+", prompt_id):
            raise SystemExit(
                f"prompt_id {prompt_id!r} names a file: use letters, digits, '.', '_' and '-'"
            )
        for part in range(-(-samples // slice_size)):
            path = folder / f"{prompt_id}.{part:04d}.jsonl"
            if not path.exists():
                yield record, part, min(slice_size, samples - part * slice_size), path


def main(arguments=None):
    """Read the prompts and draw what is missing, several slices at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="base address, such as http://127.0.0.1:8000/v1")
    parser.add_argument("model")
    parser.add_argument("prompts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=256, help="per prompt")
    parser.add_argument("--slice-size", type=int, default=32, help="samples per request")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chat", action="store_true", help="use the chat endpoint")
    parser.add_argument("--extra", type=json.loads, help="JSON object added to every request")
    parser.add_argument("--workers", type=int, default=8, help="requests at a time")
    given = parser.parse_args(arguments)

    lines = given.prompts.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    given.folder.mkdir(parents=True, exist_ok=True)
    sizes = {"samples": given.samples, "slice_size": given.slice_size}
    options = {"max_tokens": given.max_tokens, "seed": given.seed}
    options |= {"chat": given.chat, "extra": given.extra}

    def fill(work):
        record, part, samples, path = work
        url = given.url.rstrip("/")
        rows = draw(url, given.model, record, samples=samples, part=part, **options)
        write_whole(path, rows)
        print(path, flush=True)
        return sum(row["logprob"] is None for row in rows)

    with ThreadPoolExecutor(given.workers) as workers:
        untold = sum(workers.map(fill, list(missing_slices(records, given.folder, **sizes))))
    if untold:
        print(f"{untold} samples came without log-probabilities", file=sys.stderr)


if __name__ == "__main__":
    main()
