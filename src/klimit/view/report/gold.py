"""The section on proxy and gold: what the reward's gain is worth in the one that is really wanted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._text import safe
from klimit.view import hacking as view
from klimit.view import path, words
from klimit.view.report.chart import Chart, around
from klimit.view.report.small_charts import named_line, small_chart

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
            "said": labels.verdict(hack, kl).split("\n"),
            **dict.fromkeys(("chart", "table", "by_n", "run")),
            "text": f"{labels.rows(hack, kl)}\n\n{labels.legend(hack)}",
        }
    kl = view.budgets(hack)
    along, by_n = _short(view.cells(hack, kl)), _short(view.n_cells(hack))
    return {
        "name": safe(hack.gold.reward, longest=60),
        "said": view.verdict(hack, kl).split("\n"),
        "chart": _chart(hack),
        "table": along,
        "by_n": by_n if len(by_n[1]) > 1 else None,
        "run": None if hack.run is None else (*path.cells(hack.run), path.legend(hack.run)),
        "text": "",
    }


def _short(table: Table) -> Table:
    """Without the second column: beta, or what best-of-N spends."""
    headings, lines = table
    return [headings[0], *headings[2:]], [[line[0], *line[2:]] for line in lines]


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
    seen = [x / scale for _, gain, scale, _ in curves for x in (*gain.value, *gain.low, *gain.high)]
    last = [words.signed(gain[40], unit=safe(name, longest=40)) for name, gain, _, _ in curves]
    where = f"At {words.nats(reach, down=True)} the optimum of {safe(hack.proxy.reward)}"
    chart = small_chart(
        "proxy", "Proxy and gold", f"{where} gains {words.listed(last)}.", (0.0, 1.02 * reach),
        around(seen, zero=True), "KL from the base, nats",
        "gain, standard deviations", right=96,
    )  # fmt: skip
    names = words.both([name for name, *_ in curves], 16)
    for name, (_, gain, scale, kind) in zip(names, curves, strict=True):
        value, low, high = (x / scale for x in (gain.value, gain.low, gain.high))
        chart.band(kl, low, high, kind)
        named_line(chart, kl, value, name, kind)
    stop = hack.stop_kl
    if stop.trusted and math.isfinite(stop.high) and stop.value > 0:
        chart.upright(stop.value, "stop")
        chart.say(stop.value, chart.y.high, "stop here", right=5, down=12)
    return chart
