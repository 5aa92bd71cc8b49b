"""Sequential tests: evidence that may be looked at after every row, for ever, without a false alarm becoming likely.

A test that is made once a day finds "a significant difference" sooner or later where there is none. What is here stays
valid at every look at once (Johari et al. 2017, doi:10.1145/3097983.3097992): the chance that the p-value ever falls
below alpha, or that the interval ever leaves out the truth, is at most alpha over the whole life of the sequence.

`MeanSequence` watches a mean of values of any kind: an asymptotic confidence sequence (Waudby-Smith et al. 2024,
Annals of Statistics, arXiv:2103.06476), the running twin of the interval of the central limit theorem, with the normal
mixture of Robbins 1970. It starts after some values, as an interval of that theorem would.

`chance_of_events` watches where events fall: exact for any number of them (a mixture of binomials, Robbins 1970;
Lindon and Malek 2022, arXiv:2011.03567).
"""

from __future__ import annotations

import math

from scipy.special import betainc, betaln

TARGET = 1000
"""The number of values at which the interval is as narrow as such an interval can be; the test is valid at any."""


def tightness(alpha: float, target: int = TARGET) -> float:
    """The square of rho of Waudby-Smith et al. 2024 (their appendix B.2) that makes the interval narrowest there."""
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / target


class MeanSequence:
    """A mean as values come, with an interval that holds at all times together. Values must not foresee later ones."""

    def __init__(self, alpha: float, target: int = TARGET) -> None:
        self.alpha = alpha
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        self._rho2 = tightness(alpha, target)

    def add(self, value: float) -> None:
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)

    @property
    def variance(self) -> float:
        return self._squares / self.count if self.count else 0.0

    @property
    def half_width(self) -> float:
        """The interval is the mean, and this to both sides; infinite where all values are the same."""
        if self.variance <= 0:
            return math.inf
        scaled = self.count * self._rho2
        bound = 2 * (scaled + 1) / (self.count * scaled) * math.log(math.sqrt(scaled + 1) / self.alpha)
        return math.sqrt(self.variance * bound)

    def p_value(self) -> float:
        """Two-sided, against a mean of 0: how likely evidence this strong is to be seen at some time."""
        if self.variance <= 0:
            return 1.0
        scaled = self.count * self._rho2
        evidence = self.count * self.mean**2 * scaled / (2 * self.variance * (scaled + 1))
        return _p_value(evidence - 0.5 * math.log1p(scaled))

    def values_needed(self) -> int | None:
        """How many values would show the difference seen now, if it is the true one; None for no difference."""
        if not self.count or self.mean == 0 or self.variance <= 0:
            return None
        ratio = self.variance / self.mean**2
        count = float(self.count)
        for _ in range(60):
            scaled = count * self._rho2
            wanted = ratio * 2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / self.alpha)
            if abs(wanted - count) < 0.5:
                break
            count = wanted
        return max(math.ceil(count), self.count)


def chance_of_events(challengers: int, events: int, share: float) -> float:
    """How likely it is to see this at some time: of all `events`, so many were the challenger's.

    Where both arms are alike each event falls to the challenger with the chance `share`, whatever the rate of events
    is and however it changes. One-sided: small where the challenger has more than its share.
    """
    if not 0 < share < 1 or not events:
        return 1.0
    others = events - challengers
    posterior, prior = _log_upper_beta(1 + challengers, 1 + others, share), math.log1p(-share)
    if posterior == -math.inf:
        return 1.0
    return _p_value(posterior - prior - challengers * math.log(share) - others * math.log1p(-share))


def chance_of_split(challengers: int, events: int, share: float) -> float:
    """Two-sided: small where the challenger has more, or less, than its share."""
    one = chance_of_events(challengers, events, share)
    other = chance_of_events(events - challengers, events, 1 - share)
    return min(1.0, 2 * min(one, other))


def _log_upper_beta(a: float, b: float, share: float) -> float:
    """The logarithm of the integral of t^(a-1) (1-t)^(b-1) from `share` to 1."""
    upper = float(betainc(b, a, 1 - share))
    return float(betaln(a, b)) + math.log(upper) if upper > 0 else -math.inf


def _p_value(log_evidence: float) -> float:
    """One over the evidence (Ville's inequality)."""
    return math.exp(min(0.0, -log_evidence))
