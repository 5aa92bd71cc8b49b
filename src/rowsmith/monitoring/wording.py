"""Wording: what happened to a column, in words. Takes sketches, gives sentences and labels."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from rowsmith.monitoring.reference import Watched
from rowsmith.monitoring.sketch import Sketch
from rowsmith.types import ColumnKind

OTHER = "other"
EPOCH = datetime(1970, 1, 1)
NAMES = {
    "length": "length of {}",
    "known_words": "familiar words of {}",
    "probability": "{} (probability of the event)",
    "confidence": "{} (probability of the likeliest label)",
}
MOVES = {"length": ("longer", "shorter"), "known_words": ("more familiar", "less familiar")}
NOTABLE = 0.1
"""Medians this many standard deviations apart (or spreads this much different) are worth a word."""


def heading(watched: Watched) -> str:
    return NAMES.get(watched.aspect, "{}").format(watched.column)


def too_few(watched: Watched, rows: int, min_rows: int) -> str:
    return f"{heading(watched)}: not judged, {rows} rows are fewer than {min_rows}"


def movement(watched: Watched, window: Sketch, test: str) -> str:
    """The end of the sentence about a column that has drifted."""
    reference = watched.sketch
    if test == "missing_share":
        return f"{window.missing_share:.1%} are missing, {reference.missing_share:.1%} in training"
    if test == "unseen_share":
        return f"{window.unseen_share:.1%} of the values have a level that training did not see"
    return _shift(watched, window) if reference.is_ordered else _biggest_change(reference, window)


def _shift(watched: Watched, window: Sketch) -> str:
    old, new = watched.sketch.quantile(0.5), window.quantile(0.5)
    spread = watched.sketch.deviation or 0.0
    if old is None or new is None:
        return "differently distributed than in training"
    if abs(new - old) > NOTABLE * spread:
        up, down = (
            ("later", "earlier")
            if watched.kind is ColumnKind.DATETIME
            else MOVES.get(watched.aspect, ("higher", "lower"))
        )
        medians = f"median {value_text(watched.kind, new)}, was {value_text(watched.kind, old)}"
        return f"{up if new > old else down} than in training ({medians})"
    if window.deviation is not None and abs(window.deviation - spread) > NOTABLE * spread:
        return f"{'more' if window.deviation > spread else 'less'} spread out than in training"
    return "differently distributed than in training, around the same middle"


def _biggest_change(reference: Sketch, window: Sketch) -> str:
    old = np.array(reference.counts) / reference.present
    new = np.array(window.counts) / window.present
    most = int(np.argmax(np.abs(new - old)))
    name = f'"{reference.levels[most]}"' if most < len(reference.levels) else "other levels"
    return f"{name} went from {old[most]:.1%} to {new[most]:.1%}"


def value_text(kind: ColumnKind, value: float) -> str:
    """A number with four digits, a date as ISO 8601 to the minute (`value` in seconds since 1970)."""
    if kind is not ColumnKind.DATETIME:
        return f"{value:.4g}" if abs(value) < 1e4 and value != round(value) else f"{value:.6g}"
    try:
        moment = EPOCH + timedelta(seconds=value)
    except OverflowError:
        return f"{value:.6g}"
    return moment.strftime("%Y-%m-%d") if moment.time() == EPOCH.time() else moment.strftime("%Y-%m-%d %H:%M")


def bounds(sketch: Sketch, first: int, last: int) -> tuple[float | None, float | None]:
    """The smallest and the largest value of the reference in the fine bins `first` to `last`.

    None is an open end, of a bin for values outside the reference's range, and both are None for levels.
    """
    end = len(sketch.edges)
    if not sketch.is_ordered or end == 1:
        return None, None
    low = None if last == 0 else sketch.edges[max(first - 1, 1)]
    high = None if first == end else sketch.edges[min(max(last, 1), end - 1)]
    return low, high


def bin_label(watched: Watched, first: int, last: int) -> str:
    sketch = watched.sketch
    if not sketch.is_ordered:
        return sketch.levels[first] if first == last and first < len(sketch.levels) else OTHER
    low, high = bounds(sketch, first, last)
    if high is None:
        return "all" if low is None else f"above {value_text(watched.kind, low)}"
    end = value_text(watched.kind, high)
    if low is None:
        return f"below {end}"
    is_one_value = low == high or (watched.kind is ColumnKind.INTEGER and high == low + 1 and first > 1)
    return end if is_one_value else f"{value_text(watched.kind, low)} to {end}"
