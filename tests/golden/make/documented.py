"""Dumps of frameworks that do not install from the package index, or write none without a service.

Their shape is that of their documentation or source, their content is made up: tests/golden/
open_instruct, nemo_rl, reward_bench, best_of_n, batch, the platform's samples of prime_rl, and older
cards of TRL and ms-swift. Needs polars: python documented.py OUT.
"""

import json
import random
import sys
from pathlib import Path

import polars as pl

QUESTIONS = {"What is 2 + 2?": "4", "What is 3 + 5?": "8", "What is 7 - 6?": "1"}
chosen = random.Random(0)


def samples(each=4):
    for at, (question, answer) in enumerate(QUESTIONS.items()):
        for _ in range(each):
            guess = chosen.choice([answer, "4", "9"])
            yield at, question, guess, answer, float(guess == answer)


def logprobs(count):
    return [-round(chosen.random(), 4) for _ in range(count)]


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(list(rows)).write_parquet(path)


def open_instruct(out):
    rows = []
    for step in (1, 2):
        for i, (at, _, _, _, right) in enumerate(samples()):
            rows.append({
                "step": step, "sample_idx": i, "prompt_idx": at, "prompt_tokens": [5, 7 + at + step, 9],
                "response_tokens": [11, 12, 2], "reward": 10 * right, "advantage": 0.0,
                "finish_reason": "stop", "dataset": "sums", "ground_truth": [3], "request_info": None,
                "logprobs": logprobs(3),
            })  # fmt: skip
    lines(out / "traces" / "tiny_rollouts_000000.jsonl", rows)
    about = {
        "run_name": "tiny",
        "git_commit": "unknown",
        "model_name": "tiny",
        "timestamp": "2026-01-01T00:00:00",
    }
    lines(out / "traces" / "tiny_metadata.jsonl", [about])
    lines(out / "rejection" / "completion_scores.jsonl", (
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}],
         "model_completion": guess, "reference_completion": a,
         "score": {"rm-a": right + at, "rm-b": -right},
         "reference_completion_score": {"rm-a": 1.0, "rm-b": 0.0}}
        for at, q, guess, a, right in samples()
    ))  # fmt: skip


def nemo_rl(out):
    for step in (1, 2):
        rows = []
        for i, (at, q, guess, _, right) in enumerate(samples()):
            rows.append({
                "content": [[q, guess]], "rewards": [right], "input_lengths": [5],
                "token_ids": [[5, 7 + at, 9, 11, 2]], "token_loss_mask": [[0, 0, 0, 1, 1]],
                "sample_loss_mask": [1.0], "advantages": [[0.0] * 5],
                "generation_logprobs": [[0.0] * 3 + logprobs(2)], "prev_logprobs": [[0.0] * 3 + logprobs(2)],
                "idx": i,
            })  # fmt: skip
        lines(out / f"train_data_step{step}.jsonl", rows)
    lines(out / "val_data_step2.jsonl", (
        {"content": [[{"role": "user", "content": q}, {"role": "assistant", "content": guess}]],
         "rewards": [right], "idx": i}
        for i, (_, q, guess, _, right) in enumerate(samples(1))
    ))  # fmt: skip


def prime_rl(out):
    table(out / "platform" / "samples.parquet", (
        {"run_id": "r", "step": step, "tag": "train", "problem_id": at, "sample_id": i, "prompt": q,
         "completion": guess, "trajectory": "[]", "answer": a, "env_name": "sums", "task": "default",
         "info": "{}", "reward": right, "advantage": 0.0, "metrics": "{}", "timing": "{}",
         "num_input_tokens": 9, "num_output_tokens": 2 + i % 3, "created_at": "2026-01-01T00:00:00"}
        for step in (1, 2) for i, (at, q, guess, a, right) in enumerate(samples())
    ))  # fmt: skip


def reward_bench(out):
    lines(out / "answers" / "tiny_outputs.jsonl", (
        {"prompt": q, "results": right + at / 8, "text": guess} for at, q, guess, _, right in samples()
    ))  # fmt: skip
    lines(out / "pairs" / "tiny_outputs.jsonl", (
        {"prompt": q, "results": 1, "scores_chosen": 1.5 + at, "scores_rejected": -0.5 * at,
         "text_chosen": a, "text_rejected": "9"}
        for at, (q, a) in enumerate(QUESTIONS.items())
    ))  # fmt: skip
    lines(out / "best_of_n" / "tiny.jsonl", (
        {"id": f"alpaca_eval/{at}", "model": "tiny", "scores": right + 0.01 * i}
        for i, (at, _, _, _, right) in enumerate(samples())
    ))  # fmt: skip


def best_of_n(out):
    rows = []
    for q in QUESTIONS:
        proxy = sorted((round(chosen.gauss(0, 1), 4) for _ in range(8)), reverse=True)
        gold = [round(x / 2 + chosen.gauss(0, 1), 4) for x in proxy]
        rows.append(
            {
                "prompt": q,
                "answers": [f"answer {i}" for i in range(8)],
                "proxy_scores": proxy,
                "gold_scores": gold,
            }
        )
    lines(out / "answers" / "answers.jsonl", rows)
    (out / "results").mkdir()
    (out / "results" / "results.json").write_text(
        json.dumps([{"n": n, "proxy_score": 0.1 * n, "gold_score": 0.05 * n} for n in (1, 2, 4)])
    )
    lines(out / "responses" / "responses.jsonl", (
        {"prompt": row["prompt"], "responses": row["answers"], "rewards": row["proxy_scores"]} for row in rows
    ))  # fmt: skip


def batch(out):
    rows, scores = [], []
    for at, q in enumerate(QUESTIONS):
        choices = []
        for i, guess in enumerate(chosen.choices(["4", "8", "1"], k=4)):
            spoken = [
                {"token": guess, "logprob": logprobs(1)[0], "bytes": None, "top_logprobs": []}
            ]
            choices.append({"index": i, "message": {"role": "assistant", "content": guess},
                            "logprobs": {"content": spoken}, "finish_reason": "stop"})  # fmt: skip
            scores.append(
                {"custom_id": f"ask-{at}", "sample_id": i, "reward": float(guess == QUESTIONS[q])}
            )
        body = {"id": f"chatcmpl-{at}", "object": "chat.completion", "model": "tiny", "choices": choices,
                "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}  # fmt: skip
        response = {"status_code": 200, "request_id": f"vllm-batch-{at}", "body": body}
        rows.append(
            {"id": f"vllm-{at}", "custom_id": f"ask-{at}", "error": None, "response": response}
        )
    lines(out / "output.jsonl", rows)
    lines(out / "scores.jsonl", scores)


def older(out):
    table(out / "trl" / "card" / "train.parquet", (
        {"step": step, "prompt": q, "completion": guess, "reward": right + 0.1,
         "reward_correct": right, "reward_len": 0.1}
        for step in (10, 20) for _, q, guess, _, right in samples()
    ))  # fmt: skip
    lines(out / "ms_swift" / "older" / "completions.jsonl", (
        {"step": step, "messages": [{"role": "user", "content": q}], "completion": guess, "reward": right}
        for step in (1, 2) for _, q, guess, _, right in samples()
    ))  # fmt: skip


def main(out):
    for make in (open_instruct, nemo_rl, prime_rl, reward_bench, best_of_n, batch):
        make(out / make.__name__)
    older(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
