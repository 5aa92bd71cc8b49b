"""The challenge: a new model and the reigning champion on the same rows, none of which the champion has learned."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rowsmith.errors import RowsmithError
from rowsmith.evaluation.gates import Comparison, compare
from rowsmith.model import TrainedModel
from rowsmith.registry.versions import Version
from rowsmith.types import Array, Metric, Rows, Scores2D
from rowsmith.workflows.project import Project
from rowsmith.workflows.train import row_groups, row_weights

LEARNED_ROWS = "learned_rows.npz"
MIN_ROWS = 30


@dataclass(frozen=True, slots=True)
class Challenge:
    """Who reigned, and how the two compare. `comparison` is None where they cannot be compared; `reason` says why."""

    champion: Version | None
    comparison: Comparison | None
    reason: str
    rows: int = 0


def challenge(
    project: Project, challenger: TrainedModel, frame: pl.DataFrame, target: Array, test: Rows, metric: Metric
) -> Challenge:
    """Compare on those sealed rows that neither model was trained on."""
    champion = project.registry.champion(project.recipe.name)
    if champion is None:
        return Challenge(None, None, "there is no champion yet")
    if len(test) == 0:
        return Challenge(champion, None, "no test rows were sealed")
    folder = project.registry.folder(champion)
    fresh = test[~was_learned(folder, frame[test])]
    if len(fresh) < MIN_ROWS:
        return Challenge(champion, None, f"only {len(fresh)} test rows are new to the champion, {MIN_ROWS} are needed")
    try:
        reigning = project.model(champion.number)
        scores = _scores_like(challenger, reigning, frame[fresh])
    except RowsmithError as problem:
        return Challenge(champion, None, f"the champion cannot answer these rows: {problem}")
    if scores is None:
        return Challenge(champion, None, "the champion answers another question (its target or its labels differ)")
    comparison = compare(
        target[fresh],
        challenger.scores(challenger.encode(frame[fresh])),
        scores,
        metric,
        thresholds=(challenger.threshold, reigning.threshold),
        weights=row_weights(frame[fresh], challenger.schema),
        groups=row_groups(frame[fresh], challenger.schema),
        confidence=project.recipe.gates.confidence,
        seed=project.recipe.train.seed,
    )
    return Challenge(champion, comparison, "compared on sealed rows that neither has learned", len(fresh))


def _scores_like(challenger: TrainedModel, champion: TrainedModel, frame: pl.DataFrame) -> Scores2D | None:
    """The champion's scores with the challenger's columns; None where the two predict different things."""
    ours, theirs = challenger.schema.target, champion.schema.target
    same_target = ours is not None and theirs is not None and ours.name == theirs.name
    if not same_target or challenger.task is not champion.task or set(challenger.labels) != set(champion.labels):
        return None
    scores = champion.scores(champion.encode(frame))
    if not challenger.labels:
        return scores
    return scores[:, [champion.labels.index(label) for label in challenger.labels]]


def remember_learned(folder: Path, frame: pl.DataFrame) -> None:
    """Keep a hash of every row that a version was trained on (not the rows themselves)."""
    hashes = np.unique(_row_hashes(frame))
    np.savez_compressed(folder / LEARNED_ROWS, hashes=hashes, columns=np.array(frame.columns))


def was_learned(folder: Path, frame: pl.DataFrame) -> Array:
    """Which rows a version was trained on: shape (rows,), boolean.

    All True for a version that kept no hashes. None where it was trained on columns that are not there: whether it
    knows a row cannot be told then, and taking it for new favours the champion.
    """
    path = folder / LEARNED_ROWS
    if not path.exists():
        return np.ones(frame.height, dtype=bool)
    with np.load(path, allow_pickle=False) as file:
        hashes, columns = file["hashes"], file["columns"].tolist()
    if not set(columns) <= set(frame.columns):
        return np.zeros(frame.height, dtype=bool)
    return np.asarray(np.isin(_row_hashes(frame.select(columns)), hashes))


def _row_hashes(frame: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A 64-bit hash of each row's values, the same on every machine and release (FNV-1a over column hashes)."""
    total = np.full(frame.height, 0xCBF29CE484222325, dtype=np.uint64)
    prime = np.uint64(0x100000001B3)
    for name in sorted(frame.columns):
        total = (total ^ _value_hashes(frame[name])) * prime
    return total


def _value_hashes(series: pl.Series) -> np.ndarray[Any, np.dtype[np.uint64]]:
    text = series.cast(pl.String, strict=False)
    levels = text.unique()
    hashed = [int.from_bytes(blake2b((level or "\0").encode(), digest_size=8).digest(), "little") for level in levels]
    table = pl.DataFrame({"level": levels, "hash": pl.Series(hashed, dtype=pl.UInt64)})
    joined = pl.DataFrame({"level": text}).join(table, on="level", how="left", nulls_equal=True, maintain_order="left")
    return joined["hash"].to_numpy()
