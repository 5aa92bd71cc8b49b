"""Journal: which units of work went into a model. It records units, not clock, so that `replay` gives the same bytes.

JSON Lines. The first line describes the data and the run, then comes a line for each unit of every trial that the
ensemble could choose from, in the order of trials, repeats and folds; the last line says how the end was worked out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rowsmith.errors import ArtifactError
from rowsmith.training.ensemble import Effort

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished unit: what was learned, the rounds it used, and the SHA-256 of its answers and its learner.

    With `refit` a model of all rows stands for the trial, where the ensemble chose it.
    """

    trial: int
    family: str
    params: Mapping[str, Any]
    repeat: int
    fold: int
    seed: int
    threads: int
    absolute: bool
    refit: bool
    rounds: int
    result: str


@dataclass(frozen=True, slots=True)
class Journal:
    """`data` is the SHA-256 of the input (`TrainingData.digest`), `folds` how many folds each trial ran."""

    data: str
    metric: str
    seed: int
    folds: int
    effort: Effort
    entries: tuple[Entry, ...] = field(default=())

    def to_text(self) -> str:
        head = {"format": FORMAT, "data": self.data, "metric": self.metric, "seed": self.seed, "folds": self.folds}
        lines = [head, *(asdict(entry) for entry in self.entries), {"effort": asdict(self.effort)}]
        return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)

    @classmethod
    def from_text(cls, text: str) -> Journal:
        """Raises ArtifactError for text that `to_text` did not write."""
        try:
            head, *entries, end = [json.loads(line) for line in text.splitlines() if line.strip()]
            if head.pop("format") != FORMAT:
                raise ValueError(f"the format is not {FORMAT}")
            return cls(**head, effort=Effort(**end["effort"]), entries=tuple(Entry(**entry) for entry in entries))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise ArtifactError(f"this is not a journal that this release knows: {problem}") from problem
