"""What `Choices` say: which rule keeps the best answers, and a table of all settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate
from klimit.view import words
from klimit.view.records import heading, number, numbers

if TYPE_CHECKING:
    from klimit.select import Choices, Setting

ESTIMATES = ("gold", "proxy", "kl", "coverage")


def text(found: Choices) -> str:
    """The verdict, the table and the notes."""
    return words.result(verdict(found), rows(found), legend(found), notes=found.notes)


def verdict(found: Choices) -> str:
    """The best tuned rule, and how much more it keeps than best-of-N at its best N."""
    proxy, gold = words.both((found.proxy_name, found.gold_name))
    ranked = sorted(found.tuned, key=lambda name: -float(found.tuned[name].gold.value))
    first = found.tuned[ranked[0]]
    chosen = f"Chosen by {proxy},"
    gain = words.signed(first.gold, unit=gold)
    lines = [f"{chosen} {first.setting} keeps the best answers: {gain} over the base model."]
    if first.gold.low <= 0:
        shown = "keeps" if first.gold.high <= 0 or first.setting.n == 1 else "is shown to keep"
        each = ", ".join(f"{name} {words.plain(found.tuned[name].gold)}" for name in ranked)
        lines = [
            f"{chosen} no rule {shown} better answers than drawing a single one. Over the base model, "
            f"in {gold}: {each}."
        ]
        ranked = []
    for name in ranked[1:]:
        other = found.tuned[name]
        apart = found.difference(ranked[0], name)
        lines.append(
            f"{str(other.setting)[0].upper()}{str(other.setting)[1:]} keeps "
            f"{words.plain(other.gold)}: {_less(apart)}."
        )
    lines.append(
        "Every prompt is judged by the setting that other prompts chose, so these figures are not "
        "flattered by the choice."
    )
    return "\n".join(lines)


def _less(apart: Estimate) -> str:
    if apart.low > 0:
        return f"less by {words.plain(apart)}"
    if apart.low == apart.high == 0:
        return "the same"
    return f"a difference of {words.plain(apart)}, which may be none"


def rows(found: Choices) -> str:
    """A row per setting."""
    best = {tuned.setting for tuned in found.tuned.values()}
    lines = []
    for at, setting in enumerate(found.settings):
        spent = float(found.kl[at].value)
        bound = f"at most {words.fixed(spent, 2, up=True)}"
        lines.append([
            f"{setting.rule} *" if setting in best else setting.rule,
            f"{setting.n:,}",
            "-" if setting.beta is None else f"{setting.beta:.3g}",
            words.plain(found.gold[at]),
            words.plain(found.proxy[at]),
            f"{spent:.2f}" if setting.beta is None else bound,
        ])  # fmt: skip
    names = words.both((found.gold_name, found.proxy_name), 20)
    return words.table(["rule", "N", "beta", *names, "KL"], lines)


def legend(found: Choices) -> str:
    """What the columns mean, for somebody who meets them for the first time."""
    return words.paragraph(
        "N: answers drawn; beta: how sharply the rule follows the proxy, in its units; the rewards "
        "are means of the kept answer over the base model's; "
        f"{words.DISTANCE}; *: the best setting of its rule. {words.brackets(found.level)}"
    )


def record(found: Choices, *, read: str = "") -> dict[str, Any]:
    """Return ``klimit.choices/1``: a row per setting, and each rule tuned."""

    def setting(which: Setting) -> dict[str, Any]:
        return {"rule": which.rule, "n": which.n, "beta": number(which.beta, "this rule has none")}

    return {
        **heading("klimit.choices/1", read),
        "proxy": found.proxy_name,
        "gold": found.gold_name,
        "level": found.level,
        "data": {
            "prompts_used": found.prompts,
            "samples_per_prompt_least": found.samples[0],
            "samples_per_prompt_most": found.samples[1],
        },
        "base_gold": found.base_gold,
        "choices": [
            setting(which) | {name: getattr(found, name)[at].to_dict() for name in ESTIMATES}
            for at, which in enumerate(found.settings)
        ],
        "tuned": [
            {
                **setting(best.setting),
                **numbers(best, ("gold", "apparent")),
                "agreed": best.agreed,
                "over_best_of_n": found.difference(name, "best-of-n").to_dict(),
            }
            for name, best in found.tuned.items()
        ],
        "verdict": verdict(found).split("\n"),
        "notes": list(found.notes),
    }
