"""How much of a proxy's gain is a nuisance such as length, and what is left without it.

Within prompts, proxy = slope * nuisance + rest, the rest uncorrelated with the nuisance under the
base. Along the proxy's tilt both parts gain, and the gains add up. That tells where a gain came from,
not what could be had without the nuisance: a policy that must keep the mean of the nuisance at the
base's is best tilted by ``proxy - price * nuisance``, with the price at which the mean stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate, beyond
from klimit._text import safe
from klimit.estimate.intervals import leave_out_error
from klimit.estimate.kernel import Floats
from klimit.estimate.proxy.gaps import correlation, means_left_out

if TYPE_CHECKING:
    from klimit.estimate.proxy.result import Hacking

_STEPS = 6
_CLOSE = 0.01  # of the nuisance's spread: a mean that moved less has stayed


@dataclass(frozen=True)
class Nuisance:
    """A nuisance along the proxy's tilt at one KL.

    Attributes
    ----------
    name, kl : which, and nats
    shift : how far its mean moves, in its own units
    share : of the proxy's gain that the nuisance carries: slope * shift / proxy gain
    proxy_part, proxy_rest : the two parts of the proxy's gain, proxy units
    correlation : with the proxy within prompts
    fixed_proxy_gain, fixed_gold_gain : gains of the best policy for the proxy at this KL that keeps
        the nuisance's mean at the base's; untrusted and without limits where no price was found
    price : proxy units that one unit of the nuisance then costs
    """

    name: str
    kl: float
    shift: Estimate
    share: Estimate
    proxy_part: Estimate
    proxy_rest: Estimate
    correlation: Estimate
    fixed_proxy_gain: Estimate
    fixed_gold_gain: Estimate
    price: Estimate


def nuisance(hack: Hacking, kl: float) -> Nuisance:
    """See `Nuisance`."""
    from klimit.estimate.proxy.verb import centred_moments

    readings, pairs = hack.nuisance_readings, hack.pairs
    if readings is None or pairs.nuisance is None:
        raise ArgumentError(
            "no nuisance was named; give one: klimit.hacking(..., nuisance='length') (--nuisance)."
        )
    own = centred_moments(pairs, pairs.nuisance, pairs.nuisance)
    moments = means_left_out(np.stack([readings.covariance, own]), len(hack.reads.weights))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (moments[0] / moments[1])[:, None]
    budget = np.array([max(kl, 1e-9)])
    tilt = np.minimum(hack.path.tilt_at(budget), hack.path.known[-1])
    shift = hack.path.at(readings.read.chosen, tilt)
    gain = hack.path.at(hack.path.gains, tilt)
    gain = gain - gain[0] + float(hack.proxy.gain(budget[0]).value)
    # below the least budget all goes by the root of the KL
    small = (max(kl, 0.0) / budget[0]) ** 0.5
    bands = readings.bands
    trusted = kl <= min(bands.trusted_kl, hack.proxy.trusted_kl)
    wrong = float(bands.at(np.hypot(bands.wrong, bands.bend), budget)[0])

    def estimate(values: Floats, doubt: float) -> Estimate:
        error = float(leave_out_error(values[1:], values[0], hack.reads.weights)[0])
        sure = float(np.hypot(bands.quantile * error, doubt))
        value = float(values[0, 0])
        note = "" if trusted else beyond(bands.trusted_kl)
        low, high = (value - sure, value + sure) if trusted else (-np.inf, np.inf)
        return Estimate(value, low, high, hack.settings.level, trusted, note)

    total = float(gain[0, 0]) if gain[0, 0] > 0 else np.nan
    held, price, stays = hold(hack, kl)
    fixed = [held.proxy_gain(kl), held.gold_gain(kl), _paid(held, price, budget)]
    if not stays:
        note = f"no price was found that keeps the mean of {safe(pairs.names[2], longest=40)}"
        fixed = [replace(x, low=-np.inf, high=np.inf, trusted=False, note=note) for x in fixed]
    part = abs(float(slope[0, 0])) * wrong
    return Nuisance(
        name=pairs.names[2],
        kl=kl,
        shift=estimate(small * shift, small * wrong),
        share=estimate(slope * shift / gain, part / total),
        proxy_part=estimate(small * slope * shift, small * part),
        proxy_rest=estimate(small * (gain - slope * shift), small * part),
        correlation=correlation(hack, pairs.nuisance, readings.covariance),
        fixed_proxy_gain=fixed[0],
        fixed_gold_gain=fixed[1],
        price=fixed[2],
    )


def _paid(held: Hacking, price: float, kl: Floats) -> Estimate:
    """The price at which the nuisance's mean stays, between those at which it may.

    A price moves that mean by the tilt times the nuisance's variance.
    """
    readings = held.nuisance_readings
    assert readings is not None
    bands = readings.bands
    tilt = np.minimum(held.proxy.curve.at_kl(kl).tilt, held.path.known[-1])
    moved = np.hypot(bands.at(bands.sampling, kl), bands.at(bands.off, kl))
    below, above = (moved / (tilt * readings.spread**2))[:, 0]
    trusted = float(kl[0]) <= bands.trusted_kl
    if not trusted:
        below = above = np.inf
    note = "" if trusted else beyond(bands.trusted_kl)
    low, high = price - float(below), price + float(above)
    return Estimate(price, low, high, held.settings.level, trusted, note)


def apart(hack: Hacking) -> tuple[float, Hacking]:
    """The proxy's slope on the nuisance within prompts, and the same question at that price."""
    from klimit.estimate.proxy.verb import centred_moments

    nuisance, readings = hack.pairs.nuisance, hack.nuisance_readings
    assert nuisance is not None
    assert readings is not None
    own = centred_moments(hack.pairs, nuisance, nuisance)
    slope = float(readings.covariance[0] / own[0])
    return slope, priced(hack, slope)


def priced(hack: Hacking, price: float) -> Hacking:
    """The same question for ``proxy - price * nuisance``."""
    from klimit.estimate.proxy.verb import along

    pairs = hack.pairs
    assert pairs.nuisance is not None
    name = f"{pairs.names[0]} at a fixed mean of {pairs.names[2]}"
    rewards = pairs.proxy - price * pairs.nuisance
    named = replace(pairs, proxy=rewards, names=(name, *pairs.names[1:]))
    return along(named, hack.settings)


def hold(hack: Hacking, kl: float) -> tuple[Hacking, float, bool]:
    """The same question at the price, by secant steps, at which the mean stays; last, whether it does."""
    readings = hack.nuisance_readings
    assert readings is not None

    def moved(held: Hacking) -> float:
        assert held.nuisance_readings is not None
        tilt = np.minimum(held.proxy.curve.at_kl(max(kl, 1e-9)).tilt, held.path.known[-1])
        chosen = held.nuisance_readings.read.chosen[:1]
        return float(held.path.at(chosen, np.reshape(tilt, (1, 1)))[0, 0]) / readings.spread

    price, held = hack._apart
    before, shift, now = 0.0, moved(hack), moved(held)
    for _ in range(_STEPS - 1):
        if abs(now) < _CLOSE or now == shift:
            break
        before, price, shift = price, price - now * (price - before) / (now - shift), now
        held = priced(hack, price)
        now = moved(held)
    return held, price, abs(now) < _CLOSE
