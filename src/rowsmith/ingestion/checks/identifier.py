"""Columns that name rows instead of describing them."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, counted, listed
from rowsmith.ingestion.hashes import Sketch, hashes_of
from rowsmith.ingestion.kinds import is_named_like_identifier
from rowsmith.types import ColumnKind, Severity

MIN_SHARE_OF_LEVELS = 0.5
MIN_ROWS = 100
SUSPECTS = frozenset({ColumnKind.INTEGER, ColumnKind.CATEGORY})


class Different:
    """How many different values the columns have that are named like an identifier, missing as one of them."""

    def __init__(self, examined: Examined) -> None:
        suspects = [c for c in examined.features if c.kind in SUSPECTS and is_named_like_identifier(c.name)]
        self._sketches = {column.name: Sketch(len(suspects)) for column in suspects}

    def see(self, part: Examined) -> None:
        for name, sketch in self._sketches.items():
            sketch.add(hashes_of(part.frame.select(name)))

    @property
    def of_suspects(self) -> dict[str, int]:
        return {name: sketch.different for name, sketch in self._sketches.items()}


def check_no_column_is_an_identifier(examined: Examined) -> Outcome:
    if examined.rows < MIN_ROWS:
        return NotApplicable("there are too few rows to tell")
    left_out = [column.name for column in examined.columns if column.kind is ColumnKind.IDENTIFIER and not column.roles]
    seen: list[Observation] = []
    if left_out:
        message = f"{counted(len(left_out), 'column')} left out as identifiers: {listed(left_out)}"
        advice = "If one describes its row after all, give it another kind under [columns.kinds]."
        seen.append(Observation(message, tuple(left_out), advice=advice, severity=Severity.INFO))
    different = examined.tally(Different).of_suspects
    shares = {name: values / examined.rows for name, values in different.items()}
    suspects = {name: share for name, share in shares.items() if share >= MIN_SHARE_OF_LEVELS}
    if suspects:
        message = (
            f"{counted(len(suspects), 'feature')} named like an identifier, with many values: {listed(list(suspects))}"
        )
        advice = "Ignore them under [columns] if they only name the row, or name them as group or subject_id."
        seen.append(Observation(message, tuple(suspects), {"share_of_values": suspects}, advice))
    return seen


CHECK = Check("identifier", "Identifiers", Severity.WARNING, check_no_column_is_an_identifier, (Different,))
