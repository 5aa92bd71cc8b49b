"""Deployment: a version as it is used, the project's own features in front of its model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rowsmith.conform import Conformer, ConformingFrame, ConformingRow, frame_of_rows
from rowsmith.model import TrainedModel
from rowsmith.registry.versions import Version
from rowsmith.schema import Schema
from rowsmith.workflows.artifact import load
from rowsmith.workflows.inputs import INPUTS_FILE, read_inputs
from rowsmith.workflows.plugins import Plugins, load_kept
from rowsmith.workflows.project import Project
from rowsmith.workflows.sign import require_trust

OWN_CODE = "own_code"


@dataclass(frozen=True)
class Deployed:
    """A version ready to answer. `inputs` is the schema of what it is asked with.

    Where the project has features of its own, `inputs` lists the columns from before them, and `types` is an empty
    frame with those columns as the features saw them at training; otherwise `inputs` is the model's own schema.
    """

    version: Version
    model: TrainedModel
    inputs: Schema
    plugins: Plugins = field(default_factory=Plugins)
    types: pl.DataFrame | None = None

    def frame(self, rows: pl.DataFrame, *, first_row: int = 0) -> ConformingFrame:
        """Rows as they come to rows that the model's encoder takes. Raises SchemaError; see `Conformer.frame`."""
        if self.types is None:
            return self.model.conformer.frame(rows, first_row=first_row)
        first = Conformer(self.inputs).frame(rows, first_row=first_row)
        featured = self.model.conformer.frame(self.plugins.apply(self._typed(rows, first.frame)), first_row=first_row)
        odd = None if None in (first.odd, featured.odd) else tuple(sorted({*(first.odd or ()), *(featured.odd or ())}))
        return ConformingFrame(featured.frame, (*first.warnings, *featured.warnings), odd)

    def answers(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows as they come to the columns of `TrainedModel.answer_frame`. Raises SchemaError."""
        model = self.model
        return model.answer_frame(model.scores(model.encoder.encode(self.frame(rows).frame)))

    def row(self, row: Mapping[str, Any]) -> ConformingRow:
        """One row as it comes to one that the model's encoder takes. Raises SchemaError."""
        if self.types is None:
            return self.model.conformer.row(row)
        first = Conformer(self.inputs).row(row)
        table = self._typed(frame_of_rows([row]), pl.DataFrame([first.row]))
        featured = self.model.conformer.row(self.plugins.apply(table).row(0, named=True))
        return ConformingRow(featured.row, (*first.warnings, *featured.warnings))

    def _typed(self, rows: pl.DataFrame, conforming: pl.DataFrame) -> pl.DataFrame:
        """The columns that the features saw at training, with the types they had then; absent ones are null.

        Where a value cannot be taken as it came (a date as text, as JSON has it), it is what the schema reads it as.
        """
        assert self.types is not None
        return pl.DataFrame(
            [_taken(name, dtype, rows, conforming) for name, dtype in self.types.schema.items()], height=rows.height
        )


def _taken(name: str, dtype: pl.DataType, rows: pl.DataFrame, conforming: pl.DataFrame) -> pl.Series:
    for table in (rows, conforming):
        if name in table.columns:
            with suppress(pl.exceptions.PolarsError):
                return table[name].cast(dtype, strict=False)
    return pl.Series(name, [None] * rows.height, dtype=dtype)


def deploy(project: Project, version: Version, *, single: bool = False) -> Deployed:
    """Load a version with the features it was trained with; with `single` its one learner instead of the ensemble.

    Raises ArtifactError, StorageError.
    """
    require_trust(project, version)
    return deployed_from(project.registry.folder(version), version, single=single)


def deployed_from(folder: Path, version: Version, *, single: bool = False) -> Deployed:
    """The same from the folder of a version, wherever it lies. Raises ArtifactError."""
    model = load(folder / "model")
    if single and model.single is not None:  # a version that is one learner already is its own
        model = model.single
    plugins = load_kept(folder, str(version.lineage.get(OWN_CODE, "")))
    if plugins.add_features is None:
        return Deployed(version, model, model.schema)
    return Deployed(version, model, read_inputs(folder), plugins, pl.read_parquet(folder / INPUTS_FILE))
