"""The section on proxy and gold: what the reward's gain is worth in the one that is really wanted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.view import hacking as view
from klimit.view import path, words
from klimit.view.report.axes import around
from klimit.view.report.chart import Chart
from klimit.view.report.small_charts import small_chart

if TYPE_CHECKING:
    from klimit.estimate.labels.result import Sparse
    from klimit.estimate.proxy import Hacking

Table = tuple[list[str], list[list[str]]]


def gold_section(hack: Hacking | Sparse | None, gold: str | None) -> dict[str, Any] | None:
    """Words, picture and tables; None where no gold was named.

    Where gold is known of few samples only, words and the table in words are all there is.
    """
    if hack is None:
        return None
    from klimit.estimate.proxy import Hacking

    if not isinstance(hack, Hacking):
        from klimit.view import labels

        kl = labels.budgets(hack)
        return {
            "name": safe(gold, longest=60),
            "said": labels.verdict(hack, kl),
            "chart": None,
            "table": None,
            "by_n": None,
            "run": None,
            "text": f"{labels.rows(hack, kl)}\n\n{labels.legend(hack)}",
        }
    kl = view.budgets(hack)
    return {
        "name": safe(hack.gold.reward, longest=60),
        "said": view.verdict(hack, kl),
        "chart": _chart(hack),
        "table": _along(hack, kl),
        "by_n": _by_n(hack),
        "run": None if hack.run is None else (*path.cells(hack.run), path.legend(hack.run)),
        "text": "",
    }


def _along(hack: Hacking, kl: list[float]) -> Table:
    """A row per budget."""
    proxy, gold = words.both(hack.pairs.names, 20)
    lines = []
    for budget, shown in zip(kl, words.aligned(kl), strict=True):
        part = hack.efficiency(budget)
        share = "".join(words.share(part)) if part.trusted and budget > 0 else "-"
        gains = hack.proxy_gain(budget), hack.gold_gain(budget)
        lines.append([shown, *(words.plain(gain) for gain in gains), share])
    return ["KL", f"{proxy} gain", f"{gold} gain", f"of {gold}'s limit"], lines


def _by_n(hack: Hacking) -> Table | None:
    """A row per power of 2."""
    proxy, gold = words.both(hack.pairs.names, 20)
    found = hack.best_by_proxy
    lines = [
        [f"{int(n):,}", words.plain(found.proxy_gain[i]), words.plain(found.gold_gain[i])]
        for i, n in enumerate(found.n)
        if n & (n - 1) == 0
    ]
    return (["N", f"{proxy} gain", f"{gold} gain"], lines) if len(lines) > 1 else None


def _chart(hack: Hacking) -> Chart | None:
    """What the optimum of the proxy gains in the proxy and in gold, each in its own spread."""
    reach = float(hack.trusted_kl)
    if not 0 < reach < math.inf:
        return None
    kl = reach * (np.arange(41) / 40) ** 2
    curves = [
        (hack.proxy.reward, hack.proxy_gain(kl), hack.proxy.samples.scale, "limit"),
        (hack.gold.reward, hack.gold_gain(kl), hack.gold.samples.scale, "policy-0"),
    ]
    seen = [x / scale for _, gain, scale, _ in curves for ends in (gain.value, gain.low, gain.high)
            for x in np.atleast_1d(ends).tolist() if math.isfinite(x)]  # fmt: skip
    last = [words.signed(gain[40], unit=safe(name, longest=40)) for name, gain, _, _ in curves]
    where = f"At {words.nats(reach, down=True)} the optimum of {safe(hack.proxy.reward)}"
    chart = small_chart(
        "proxy", "Proxy and gold", f"{where} gains {words.listed(last)}.", (0.0, 1.02 * reach),
        around(seen, zero=True), "KL from the base, nats",
        "gain, standard deviations", right=96,
    )  # fmt: skip
    names = words.both([name for name, *_ in curves], 16)
    for name, (_, gain, scale, kind) in zip(names, curves, strict=True):
        value, low, high = (np.atleast_1d(x) / scale for x in (gain.value, gain.low, gain.high))
        chart.band(kl.tolist(), low.tolist(), high.tolist(), kind)
        chart.line(kl.tolist(), value.tolist(), kind)
        end = float(kl[-1]), float(value[-1])
        chart.mark(*end, "dot", kind)
        chart.say(*end, name, f"{kind} strong", right=8, down=4)
    stop = hack.stop_kl
    if stop.trusted and math.isfinite(stop.high) and stop.value > 0:
        chart.upright(float(stop.value), "stop")
        chart.say(float(stop.value), chart.y.high, "stop here", right=5, down=12)
    return chart
