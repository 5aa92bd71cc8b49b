"""Rows that are there more than once."""

from __future__ import annotations

from functools import cached_property

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, percent
from rowsmith.ingestion.hashes import Hashes, hashes_of
from rowsmith.types import Severity


class Repeats:
    """`rows` that repeat another, by a hash of 64 bits."""

    def __init__(self, examined: Examined) -> None:
        self._names = [column.name for column in examined.columns]
        self._hashes = Hashes()

    def see(self, part: Examined) -> None:
        self._hashes.add(hashes_of(part.frame.select(self._names)))

    @cached_property
    def rows(self) -> int:
        return self._hashes.repeats


def check_rows_are_different(examined: Examined) -> Outcome:
    """Equal in every column that is not ignored, the target included."""
    if examined.rows < 2 or not examined.columns:
        return NotApplicable("there are no two rows to compare")
    repeated = examined.tally(Repeats).rows
    if not repeated:
        return ()
    share = repeated / examined.rows
    return (
        Observation(
            f"{counted(repeated, 'row')} ({percent(share)}) repeat another row exactly",
            evidence={"rows": repeated, "share": share},
            advice="If they are an accident of the export, remove them: a model is tested on rows that it has seen.",
        ),
    )


CHECK = Check("duplicate_rows", "Duplicate rows", Severity.WARNING, check_rows_are_different, (Repeats,))
