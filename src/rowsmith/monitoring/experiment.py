"""An experiment: what is known of a challenger beside the champion, and what follows from it.

However often one looks, a challenger that is no worse is called worse with a chance of at most alpha: half of it is
spent on losses (one side of a two-sided test), a quarter each on errors and on slow answers. How units fell to the two
arms is tested too: where it is not as the rule says, something else than the rule decides who is asked, and nothing
here can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from rowsmith.monitoring.contrast import Contrast
from rowsmith.monitoring.log_arms import ArmCounts
from rowsmith.monitoring.sequential import chance_of_events, chance_of_split
from rowsmith.types import JsonObject

GUARDS_SHARE = 0.25
SPLIT_ALPHA = 0.001


class State(StrEnum):
    """What the evidence says of the challenger."""

    UNDECIDED = "undecided"
    BETTER = "better"
    WORSE = "worse"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Arm:
    """One side. Latencies are milliseconds, None before the first answer."""

    version: int
    role: str
    counts: ArmCounts
    latency_p50: float | None = None
    latency_p95: float | None = None

    def to_dict(self) -> JsonObject:
        kept = {"version": self.version, "role": self.role, "latency_p50": self.latency_p50}
        return kept | {"latency_p95": self.latency_p95} | asdict(self.counts)


@dataclass(frozen=True, slots=True)
class Signal:
    """One of the tests: `worse` says that the challenger is, beyond chance."""

    name: str
    p_value: float
    worse: bool
    message: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the two answered the same rows: the share of equal labels, the mean distance of numbers."""

    rows: int
    same: float | None
    distance: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known; `contrast` is None where no outcome has come, `agreement` but for a shadow."""

    state: State
    sentence: str
    champion: Arm
    challenger: Arm
    signals: tuple[Signal, ...]
    contrast: Contrast | None = None
    agreement: Agreement | None = None

    @property
    def reasons(self) -> str:
        """Why the challenger is worse; empty where it is not."""
        return "; ".join(signal.message for signal in self.signals if signal.worse)

    def to_dict(self) -> JsonObject:
        return {
            "state": self.state.value,
            "sentence": self.sentence,
            "champion": self.champion.to_dict(),
            "challenger": self.challenger.to_dict(),
            "signals": [asdict(signal) for signal in self.signals],
            "contrast": self.contrast.to_dict() if self.contrast else None,
            "agreement": asdict(self.agreement) if self.agreement else None,
        }


def weigh(
    champion: Arm,
    challenger: Arm,
    *,
    share: float,
    slow_ms: float,
    alpha: float,
    contrast: Contrast | None = None,
    agreement: Agreement | None = None,
) -> Evidence:
    """Put the tests together. `share` is the challenger's.

    A shadow's two arms answer the same rows, and in other circumstances: only their losses are compared.
    """
    signals: list[Signal] = []
    if agreement is None:
        signals += _events(champion, challenger, share, slow_ms, alpha * GUARDS_SHARE)
    signals += _losses(contrast)
    units = (challenger.counts.units, challenger.counts.units + champion.counts.units)
    broken = agreement is None and chance_of_split(*units, share) < SPLIT_ALPHA
    state, sentence = _verdict(signals, contrast, broken=broken, share=share, units=units)
    return Evidence(state, sentence, champion, challenger, tuple(signals), contrast, agreement)


def _events(champion: Arm, challenger: Arm, share: float, slow_ms: float, alpha: float) -> list[Signal]:
    signals = []
    for name, what, key in (
        ("errors", "were refused or failed", "error_units"),
        ("latency", f"took longer than {slow_ms:.4g} ms", "slow_units"),
    ):
        ours, theirs = getattr(challenger.counts, key), getattr(champion.counts, key)
        p_value = chance_of_events(ours, ours + theirs, share)
        rates = (_percent(ours, challenger.counts.units), _percent(theirs, champion.counts.units))
        message = f"{rates[0]} of version {challenger.version}'s requests {what}, {rates[1]} of version "
        signals.append(Signal(name, p_value, p_value < alpha, f"{message}{champion.version}'s"))
    return signals


def _losses(contrast: Contrast | None) -> list[Signal]:
    if contrast is None or contrast.p_value is None or contrast.difference is None:
        return []
    more = "more" if contrast.difference > 0 else "less"
    message = f"its {contrast.loss} is {abs(contrast.difference):.4g} {more} over {contrast.units:,} units"
    return [Signal("scores", contrast.p_value, contrast.better is False, message)]


def _verdict(
    signals: Sequence[Signal], contrast: Contrast | None, *, broken: bool, share: float, units: tuple[int, int]
) -> tuple[State, str]:
    if broken:
        seen = _percent(*units)
        return State.BROKEN, f"{seen} of the units fell to the challenger, not {share:.4g}: look for what sorts them"
    if any(signal.worse for signal in signals):
        return State.WORSE, "The challenger does worse, beyond chance."
    if contrast is not None and contrast.better:
        return State.BETTER, "The challenger does better, beyond chance: promote it."
    return State.UNDECIDED, _so_far(contrast)


def _so_far(contrast: Contrast | None) -> str:
    if contrast is None or contrast.units == 0:
        return "No difference beyond chance. No true outcome has come yet, so scores are not compared."
    if contrast.difference is None:
        return "No difference beyond chance. Too few outcomes have come for scores to be compared."
    needed = contrast.units_needed
    if needed is None or needed > 1000 * contrast.units:
        return "No difference beyond chance, and none is in sight."
    left = max(needed - contrast.units, 1)
    return f"No difference beyond chance yet; one as large as today's would show after about {left:,} more outcomes."


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "none"
