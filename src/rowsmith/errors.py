"""The error family. Every error that Rowsmith raises on purpose is one of these.

RowsmithError                   exit code 1
├── UsageError                  2: the call itself is wrong
│   ├── RecipeError             rowsmith.toml or an argument of train() does not make sense
│   ├── SettingsError           an environment variable has a value that cannot be used
│   └── NotFoundError           no such project, snapshot, model or version
├── DataError                   3: the rows are at fault
│   ├── SourceError             a file (or other source) cannot be read
│   ├── SchemaError             values do not fit the schema; lists every fault
│   └── ChecksFailed            a check found an error
├── GateRefused                 4: a version may not become champion
│   └── ChampionChanged         another became champion since the version was compared with it
├── ArtifactError               1: a saved model is damaged, foreign or of an unknown format
├── TrainingError               1: no model could be trained
└── StorageError                1: the store or its database failed

A message says what is wrong, where, what was received, what is allowed and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_FAULTS_IN_MESSAGE = 10


class RowsmithError(Exception):
    """Base of the family. `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(
        self, what: str, *, where: str = "", received: str = "", allowed: str = "", next_step: str = ""
    ) -> None:
        self.what = what
        self.where = where
        self.received = received
        self.allowed = allowed
        self.next_step = next_step
        super().__init__(self._message())

    def _message(self) -> str:
        parts = [
            f"{self.where}: {self.what}" if self.where else self.what,
            f"Received {self.received}" if self.received else "",
            f"Allowed: {self.allowed}" if self.allowed else "",
            self.next_step[:1].upper() + self.next_step[1:],
        ]
        return ". ".join(part.rstrip(".") for part in parts if part) + "."


class UsageError(RowsmithError):
    """The call itself is wrong: an argument, an option, the recipe, or the name of something."""

    exit_code = 2


class RecipeError(UsageError):
    """The recipe, or an argument that stands for a part of it, cannot be used."""


class SettingsError(UsageError):
    """An environment variable of Rowsmith's has a value that cannot be used."""


class NotFoundError(UsageError):
    """Something was named that does not exist."""


class DataError(RowsmithError):
    """The rows are at fault."""

    exit_code = 3


class SourceError(DataError):
    """A source could not be read; nothing of it was kept."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one value, or with one column where `row` is None.

    `row` counts from 0 in the order received. `code` is one of `missing_column`, `unknown_column`,
    `missing_value`, `wrong_type`, `unseen_category`, `out_of_range`, `not_expected`.
    """

    code: str
    column: str
    message: str
    row: int | None = None
    received: str = ""
    allowed: str = ""


class SchemaError(DataError):
    """Values do not fit the schema. `faults` holds each one that was found."""

    def __init__(self, faults: Sequence[Fault], *, where: str = "", next_step: str = "") -> None:
        self.faults = tuple(faults)
        super().__init__(self._summary(self.faults), where=where, next_step=next_step)

    @staticmethod
    def _summary(faults: Sequence[Fault]) -> str:
        # Where a sentence about all rows of a fault follows those of single rows, it says it all.
        summed_up = {(fault.code, fault.column) for fault in faults if fault.row is None}
        told = [fault for fault in faults if fault.row is None or (fault.code, fault.column) not in summed_up]
        lines = [f"row {fault.row}: {fault.message}" if fault.row is not None else fault.message for fault in told]
        shown = "; ".join(line.rstrip(".") for line in lines[:MAX_FAULTS_IN_MESSAGE])
        more = len(lines) - MAX_FAULTS_IN_MESSAGE
        return shown + (f"; and {more} more" if more > 0 else "")


class ChecksFailed(DataError):
    """A check of the data found something that training must not go on with."""


class GateRefused(RowsmithError):
    """A version did not pass the gates between it and the alias `champion`."""

    exit_code = 4


class ChampionChanged(GateRefused):
    """The champion that a version was compared with reigns no longer; compare it with the new one."""


class ArtifactError(RowsmithError):
    """A saved model cannot be trusted or understood, and was not loaded."""


class TrainingError(RowsmithError):
    """No model came out of the training."""


class StorageError(RowsmithError):
    """The store (folder or database) could not be read or written."""
