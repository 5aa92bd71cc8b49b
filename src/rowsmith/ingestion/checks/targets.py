"""Targets: how many rows have one, and how many have each label; several checks ask."""

from __future__ import annotations

import numpy as np

from rowsmith.conform import encode_target
from rowsmith.errors import SchemaError
from rowsmith.ingestion.checks.record import Examined


class Targets:
    """`rows` have a target; `of_labels` are those of each label; `problem` says what a target does not fit."""

    def __init__(self, examined: Examined) -> None:
        self.rows = 0
        self.of_labels = dict.fromkeys(examined.schema.labels, 0)
        self.problem: SchemaError | None = None

    def see(self, part: Examined) -> None:
        target = part.schema.target
        labelled = part.labelled.frame
        self.rows += labelled.height
        if target is None or not self.of_labels or self.problem is not None:
            return
        try:
            codes = encode_target(labelled[target.name], part.schema)
        except SchemaError as problem:
            self.problem = problem
            return
        counts = np.bincount(codes.astype(np.int64), minlength=len(self.of_labels))
        for label, count in zip(self.of_labels, counts.tolist(), strict=True):
            self.of_labels[label] += count
