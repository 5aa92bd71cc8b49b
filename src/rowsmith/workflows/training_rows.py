"""Training rows: all rows of a snapshot where they fit into memory, else a sample of as many as do, said aloud."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rowsmith.ingestion.table import Held, Table, chosen_rows
from rowsmith.recipe import Recipe
from rowsmith.registry.versions import Version
from rowsmith.training.memory import available_mb, rows_that_fit
from rowsmith.types import Finding, JsonObject, Severity
from rowsmith.workflows.deploy import OWN_CODE
from rowsmith.workflows.erase_data import snapshot_of
from rowsmith.workflows.plugins import load_kept
from rowsmith.workflows.project import Project
from rowsmith.workflows.sign import require_trust

SAMPLE = "sample"
"""Of a lineage: which rows of the snapshot were trained on, where it was not all of them."""


@dataclass(frozen=True)
class TrainingRows:
    """`sample` is what the lineage keeps, None where these are all rows; `findings` say so to people."""

    frame: pl.DataFrame
    sample: JsonObject | None = None
    findings: tuple[Finding, ...] = ()


def training_rows(table: Table, held: Held, recipe: Recipe) -> TrainingRows:
    """The rows to train and to test on. `held` tells how large a row is."""
    if held.is_whole:
        return TrainingRows(held.frame)
    options = recipe.train
    limit = options.memory_mb or available_mb()
    wanted = table.rows if limit is None else rows_that_fit(limit, held.frame.estimated_size() / held.frame.height)
    if wanted >= table.rows:
        return TrainingRows(all_rows(table))
    frame = chosen_rows(table, wanted, options.seed)
    sample = {"wanted": wanted, "seed": options.seed, "rows": frame.height, "of": table.rows}
    return TrainingRows(frame, sample, (_finding(sample, limit, is_named=options.memory_mb is not None),))


def rows_of(project: Project, version: Version) -> pl.DataFrame:
    """The rows a version was made from (the same sample of a large snapshot), with the features it was trained with.

    Raises NotFoundError, ArtifactError.
    """
    require_trust(project, version)
    plugins = load_kept(project.registry.folder(version), str(version.lineage.get(OWN_CODE, "")))
    snapshot = snapshot_of(project, version.snapshot_id, f"version {version.number}")
    table = Table.of_snapshot(project.snapshots, snapshot)
    sample = version.lineage.get(SAMPLE)
    table = plugins.over(table)
    return all_rows(table) if sample is None else chosen_rows(table, sample["wanted"], sample["seed"])


def all_rows(table: Table) -> pl.DataFrame:
    return pl.concat((batch for _, batch in table.batches()), how="vertical_relaxed").rechunk()


def _finding(sample: JsonObject, limit: int | None, *, is_named: bool) -> Finding:
    origin = "that memory_mb allows" if is_named else "that are free"
    return Finding(
        "trained_on_sample",
        Severity.WARNING,
        "Trained on a sample",
        f"{sample['rows']:,} of {sample['of']:,} rows, chosen by the seed from all over the table, are what fits into "
        f"the {limit:,} MB {origin}.",
        evidence=sample,
        advice="The checks went through all rows, training and test did not. For more rows set a larger memory_mb "
        "under [train], or use a larger machine.",
    )
