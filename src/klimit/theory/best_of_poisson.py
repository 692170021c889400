"""Best-of-Poisson: best-of-N with a random N, all but optimal in the rank of the reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit.theory._check import ArrayLike, Floats, choice, same_leading, size
from klimit.theory._levels import Ties, levels
from klimit.theory._outcomes import exp_excess, log_kept
from klimit.theory._reweighted import Reweighted, measured
from klimit.theory.tilt import known

_CLOSE = 1.0  # below this mu the closed forms cancel, and 32 nodes integrate to the last digit
_FAR = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class KnownBestOfPoisson(Reweighted):
    """The policy of best-of-Poisson on a known base, and what it costs and gains.

    Also has all that `KnownBestOfN` has but `n`.

    Attributes
    ----------
    mu : (...) mean number of draws beyond the first
    """

    mu: Floats

    @property
    def draws(self) -> Floats:
        """Expected number of draws, 1 + mu."""
        return 1.0 + self.mu


def best_of_poisson(
    base: ArrayLike,
    reward: ArrayLike,
    mu: ArrayLike,
    *,
    ties: Ties = "uniform",
) -> KnownBestOfPoisson:
    """What does best-of-N do to a known base if N is drawn as 1 + Poisson(mu)?

    The chance of a reward at most as high as F is ``F e^(mu (F - 1))``, so that a level between
    F- and F is kept with probability ``F e^(mu (F - 1)) - F- e^(mu (F- - 1))``.

    Parameters
    ----------
    base, reward : (..., outcomes) as for `tilt`
    mu : (...) at least 0 and finite; broadcast against the axes before the outcomes (see `tilt`)
    ties : "uniform" keeps any of the best with equal chances; "fixed" keeps the one of highest
        index

    Returns
    -------
    KnownBestOfPoisson

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2506.19248.

    Examples
    --------
    >>> best = best_of_poisson([0.5, 0.3, 0.2], [0.0, 1.0, 4.0], mu=[0.0, 3.0])
    >>> best.gain.round(4).tolist(), best.kl.round(4).tolist()
    ([0.0, 1.4713], [0.0, 0.4399])
    """
    choice(ties, "ties", ("uniform", "fixed"))
    law, mean = known(base, reward), size(mu, "mu")
    same_leading(law.prob, mean, "mu")
    ranked = levels(law, ties)
    win = ranked.win if ties == "uniform" else levels(law).win
    extra = mean[..., None]
    spared = -np.expm1(-extra * ranked.mass)
    u = log_kept(ranked.lower, ranked.mass, spared) - extra * ranked.upper
    u = np.where((law.prob > 0) & (extra > 0), u, 0.0)
    return KnownBestOfPoisson(**measured(law, u, win), mu=np.broadcast_to(mean, u.shape[:-1]))


@dataclass(frozen=True, slots=True, eq=False)
class ContinuousBestOfPoisson:
    """Divergences of best-of-Poisson from its base for any reward without ties.

    With ties each is an upper bound. Nats where there is a unit.

    Attributes
    ----------
    mu : (...) mean number of draws beyond the first, at least 0
    """

    mu: Floats

    @property
    def draws(self) -> Floats:
        """Expected number of draws, 1 + mu."""
        return 1.0 + self.mu

    @property
    def kl(self) -> Floats:
        """KL = log(1 + mu) - 1 + e^-(1+mu) (Ei(1+mu) - Ei(1)) / mu, Ei the exponential integral."""
        a = np.maximum(self.mu, _CLOSE)
        far = np.log1p(a) - 1.0 + (_scaled_ei(1.0 + a) - np.exp(-1.0 - a) * _EI_1) / a
        log_w = self._log_density()
        return self._where_close(np.exp(log_w) * exp_excess(-log_w), far)

    @property
    def forward_kl(self) -> Floats:
        """KL(base || best-of-Poisson) = 1 + mu / 2 - (1 + mu) log(1 + mu) / mu."""
        a = np.maximum(self.mu, _CLOSE)
        far = 1.0 + 0.5 * a - np.log1p(a) * ((1.0 + a) / a)
        return self._where_close(exp_excess(self._log_density()), far)

    @property
    def jeffreys(self) -> Floats:
        """KL both ways."""
        return self.kl + self.forward_kl

    @property
    def chi_square(self) -> Floats:
        """E_base (policy / base)^2 - 1 = (mu - 1) / 2 + (1 - e^(-2 mu)) / (4 mu)."""
        a = np.maximum(self.mu, _CLOSE)
        far = 0.5 * (a - 1.0) - np.expm1(-2.0 * a) / (4.0 * a)
        return self._where_close(np.expm1(self._log_density()) ** 2, far)

    @property
    def win_rate(self) -> Floats:
        """Chance to beat one draw of the base = 1 - 1 / mu + (1 - e^-mu) / mu^2."""
        a = np.maximum(self.mu, _CLOSE)
        far = 1.0 - 1.0 / a - np.expm1(-a) / a / a
        return self._where_close(np.exp(self._log_density()) * _NODES, far)

    def _log_density(self) -> Floats:
        """Return the log of the density ratio at the nodes, for small mu."""
        mu = np.minimum(self.mu, _CLOSE)[..., None]
        return np.log1p(mu * _NODES) + mu * (_NODES - 1.0)

    def _where_close(self, terms: Floats, far: Floats) -> Floats:
        return np.where(self.mu < _CLOSE, terms @ _WEIGHTS, far)


def continuous_best_of_poisson(mu: ArrayLike) -> ContinuousBestOfPoisson:
    """How far is best-of-Poisson from its base if rewards never tie?

    As far as the density ``(mu u + 1) e^(mu (u - 1))`` of the reward's quantile u is from the uniform
    one, whatever the reward.

    Parameters
    ----------
    mu : (...) at least 0 and finite; 1 + mu draws are expected

    Returns
    -------
    ContinuousBestOfPoisson

    Raises
    ------
    ArgumentError
        Where an argument is not as above.

    References
    ----------
    arXiv 2506.19248; the closed forms follow from its density by parts.

    Examples
    --------
    >>> best = continuous_best_of_poisson(5.0)
    >>> float(best.kl.round(6)), float(best.win_rate.round(6))
    (0.833449, 0.83973)
    """
    return ContinuousBestOfPoisson(size(mu, "mu"))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # Gauss-Legendre on (0, 1)
_EI_1 = 1.8951178163559368  # Ei(1)


def _scaled_ei(x: Floats) -> Floats:
    """Return e^-x Ei(x) for x of at least 1, of any size."""
    from scipy.special import expi

    capped, far = np.minimum(x, _FAR), np.maximum(x, _FAR)
    series = np.ones_like(far)
    for k in range(25, 0, -1):  # 1/x + 1!/x^2 + 2!/x^3 + ..., to 1e-17 at 50
        series = 1.0 + series * (k / far)
    return np.where(x < _FAR, np.exp(-capped) * expi(capped), series / far)
