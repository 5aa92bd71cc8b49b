"""What a drift test is: a descriptive record with one short function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rowsmith.monitoring.sketch import Sketch
from rowsmith.types import ColumnKind

ORDERED_KINDS = frozenset({ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.DATETIME, ColumnKind.TEXT})
LEVEL_KINDS = frozenset({ColumnKind.CATEGORY, ColumnKind.BOOLEAN})
EVERY_KIND = ORDERED_KINDS | LEVEL_KINDS


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far two sketches are apart (0: not at all), and how likely that much would be by chance alone."""

    effect: float
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class DriftTest:
    """One way to compare a window with the reference.

    `function(reference, window)` gets two sketches in the same bins, both with values (unless the test does not need
    them), and answers with an Outcome, or None where the test does not apply to them. `threshold` is the effect
    that matters by the convention of the field. A test that `decides` can call a column drifted; the others are
    shown beside it. `short` is what a sentence calls the effect.
    """

    name: str
    title: str
    short: str
    kinds: frozenset[ColumnKind]
    threshold: float
    decides: bool
    function: Callable[[Sketch, Sketch], Outcome | None]
    source: str
    needs_values: bool = True
