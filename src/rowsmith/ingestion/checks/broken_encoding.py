"""Text whose encoding went wrong on the way: "MÃ¼ller" for "Müller", or a question mark in a diamond."""

from __future__ import annotations

import polars as pl

from rowsmith.ingestion.checks.record import Check, Examined, Observation, Outcome, counted
from rowsmith.types import Severity

REPLACEMENT = "\ufffd"
# The bytes of UTF-8 beyond ASCII, read in a Western encoding: a lead byte (Â to ô), then one of those that follow.
FOLLOWERS = "\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2010-\u203a\u20ac\u2122"
SUSPECT = f"[\u00c2-\u00f4][{FOLLOWERS}]"
ENCODINGS = ("cp1252", "latin-1")
MAX_VALUES = 500


def check_text_is_decoded_rightly(examined: Examined) -> Outcome:
    """Values, and the names of columns."""
    seen = []
    wrong = examined.tally(Wrong)
    for column in examined.columns:
        garbled, lost = wrong.rows.get(column.name, (0, 0))
        in_name = REPLACEMENT in column.name or _mended(column.name) is not None
        if not (garbled or lost or in_name):
            continue
        what = [
            f"{counted(garbled, 'value')} like UTF-8 that was read in another encoding" if garbled else "",
            f"{counted(lost, 'value')} with characters that were lost" if lost else "",
            "a name in the wrong encoding" if in_name else "",
        ]
        seen.append(
            Observation(
                f'"{column.name}" has {" and ".join(part for part in what if part)}',
                (column.name,),
                {"garbled": garbled, "lost": lost, "name": in_name},
                "Export the table again as UTF-8, or say how it is encoded with encoding under [data].",
            )
        )
    return seen


class Wrong:
    """For each column of text the `rows` that are garbled, and those that have lost characters."""

    def __init__(self, examined: Examined) -> None:
        self.rows = {column.name: (0, 0) for column in examined.columns if column.stored == "String"}

    def see(self, part: Examined) -> None:
        for name, (garbled, lost) in self.rows.items():
            more_garbled, more_lost = _look(part.frame[name])
            self.rows[name] = garbled + more_garbled, lost + more_lost


def _look(values: pl.Series) -> tuple[int, int]:
    """How many values are garbled, and how many have lost characters."""
    present = values.drop_nulls()
    return _garbled(present), int(present.str.contains(REPLACEMENT, literal=True).sum())


def _garbled(values: pl.Series) -> int:
    """Rows whose text becomes sound when the wrong decoding is undone."""
    suspects = values.filter(values.str.contains(SUSPECT))
    if not len(suspects):
        return 0
    counted_values = suspects.rename("value").value_counts(name="rows").sort("rows", descending=True).head(MAX_VALUES)
    return sum(rows for value, rows in counted_values.iter_rows() if _mended(value))


def _mended(text: str) -> str | None:
    """The text that was meant, or None where this one is sound."""
    for encoding in ENCODINGS:
        try:
            mended = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if mended != text:
            return mended
    return None


CHECK = Check(
    "broken_encoding", "Text in the wrong encoding", Severity.WARNING, check_text_is_decoded_rightly, (Wrong,)
)
