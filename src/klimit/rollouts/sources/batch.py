"""Answers of the OpenAI batch interface, which vLLM writes as well (`vllm run-batch`)."""

from __future__ import annotations

from klimit.rollouts.sources.source import Flat, Records, Source, keyed
from klimit.rollouts.sources.values import mapping, records, said, total


def rows(lines: Records, _: str) -> Flat:
    """A row per choice, `custom_id` is the prompt. There is no reward: scores are joined."""
    for line in lines:
        body = mapping(mapping(line.get("response")).get("body"))
        for at, choice in enumerate(records(body.get("choices")) or [{}]):
            message = mapping(choice.get("message"))
            spoken = records(mapping(choice.get("logprobs")).get("content"))
            yield {
                "custom_id": line.get("custom_id"),
                "sample_id": at,
                "completion": said(message.get("content", choice.get("text"))) or None,
                "logprob": total([token.get("logprob") for token in spoken]),
                "tokens": len(spoken) or None,
                "policy": body.get("model"),
                "finish_reason": choice.get("finish_reason"),
            }


OUTPUT = Source(
    "batch output",
    ("custom_id", "response", "id|error"),
    rows=rows,
    shape=keyed("custom_id", rewards=()),
)
