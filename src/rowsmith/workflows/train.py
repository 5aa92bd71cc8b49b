"""Training: from a frame and a recipe to a TrainedModel, within the budget."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform import Conformer, ConformingColumns, encode_target
from rowsmith.errors import DataError, RecipeError
from rowsmith.evaluation.metrics import default_metric, get_metric, metrics_for
from rowsmith.ingestion.infer import infer_schema
from rowsmith.ingestion.sources import read_frame
from rowsmith.ingestion.split import Fold, Split, blocks_of, make_folds, rows_with_target, seal, take_rows
from rowsmith.model import TrainedModel
from rowsmith.recipe import Recipe, TrainSection
from rowsmith.schema import Schema
from rowsmith.training import BAG_ROWS, Answering, TrainingData, TrainingResult, run_search
from rowsmith.training.data import mapped_matrix
from rowsmith.transformation import fit_encoder
from rowsmith.transformation.structure import Structure
from rowsmith.types import (
    Array,
    JsonObject,
    Matrix,
    Metric,
    OnProgress,
    Progress,
    Role,
    Rows,
    Task,
    Vector,
    no_progress,
)
from rowsmith.workflows.scratch import scratch

DEFAULT_SECONDS = 60.0
MAX_TARGET = 1e18
# Kept back for scoring the sealed test part after the search, as a share of the budget.
SCORING_SHARE = 0.02
REPEATS = 3
LARGE_TABLE_BYTES = 64_000_000
"""From here on a copy in memory matters more than a few microseconds a column."""


@dataclass(frozen=True)
class Fitted:
    """A model and what it was made from. `split` holds positions in `frame`, whose rows all have a target."""

    model: TrainedModel
    frame: pl.DataFrame
    target: Array
    split: Split
    data: TrainingData
    result: TrainingResult

    @property
    def weights(self) -> Vector | None:
        """Of every row of the frame."""
        return row_weights(self.frame, self.model.schema)


def train(
    data: Any,
    target: str,
    *,
    task: str | None = None,
    metric: str | None = None,
    seconds: float | None = None,
    cores: int | None = None,
    memory_mb: int | None = None,
    seed: int = 0,
    holdout: float = 0.2,
    folds: int = 5,
    weights: str | None = None,
    groups: str | None = None,
    time: str | None = None,
    positive: str | None = None,
    ignore: Sequence[str] = (),
    sensitive: Sequence[str] = (),
    families: Sequence[str] = (),
    portfolio: str | Path | None = None,
    max_trials: int | None = None,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> TrainedModel:
    """Train the best model that fits into `seconds` of wall time (60 when neither it nor `max_trials` is given).

    Args:
        data: any dataframe (pandas, polars, Arrow, ...) or the path of a file, folder or glob.
        target: the column to predict.
        task: `binary`, `multiclass` or `regression`; inferred from the target when absent.
        metric: what to optimise (see docs/reference/metrics.md); `roc_auc`, `log_loss` or `rmse` by task when absent.
        seconds: the budget, reading and final test included.
        cores: processor cores to use; all that this process may use when absent.
        memory_mb: memory to stay within, all processes together.
        seed: everything random comes from it.
        holdout: share of rows sealed away for one final test, kept in `model.facts["test"]`; 0 trains on all rows.
        folds: of cross-validation.
        weights, groups, time: names of columns: how much a row counts; rows that must stay together in every
            split; the order of rows, where the past must predict the future.
        positive: the label that is the event of a binary target; the rarer one when absent.
        ignore: columns that the model must not see.
        sensitive: columns whose groups are compared in evaluation.
        families: model families to try; all when empty.
        portfolio: a file with the order in which configurations are tried; the built-in one when absent.
        max_trials: stop after this many configurations. Given without `seconds` the work no longer depends on the
            clock, so the same seed gives the same model.
        executor: any `concurrent.futures.Executor`; local processes when absent.
        on_progress: called with a `Progress` from time to time.

    Raises:
        SourceError, SchemaError, DataError: the rows are at fault.
        RecipeError: an argument makes no sense.
        TrainingError: no model came out.
    """
    begin = _now()
    recipe = Recipe.from_dict(
        {
            "target": {"column": target, "task": task, "metric": metric, "positive": positive},
            "columns": {
                "weight": weights,
                "group": groups,
                "time": time,
                "ignore": list(ignore),
                "sensitive": list(sensitive),
            },
            "split": {"holdout": holdout, "folds": folds},
            "train": {
                "seconds": seconds,
                "max_trials": max_trials,
                "cores": cores,
                "memory_mb": memory_mb,
                "seed": seed,
                "families": list(families),
                "portfolio": None if portfolio is None else str(portfolio),
            },
        },
        where="arguments of train",
    )
    on_progress(Progress("read", "reading the table"))
    frame = read_frame(data, recipe.data)
    return train_frame(frame, recipe, begin=begin, executor=executor, on_progress=on_progress)


def train_frame(
    frame: pl.DataFrame,
    recipe: Recipe,
    *,
    begin: float | None = None,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> TrainedModel:
    """`train` for a frame and a recipe; `begin` is when the clock started, now when None."""
    deadline = deadline_of(recipe.train, _now() if begin is None else begin)
    schema = infer_schema(frame, recipe)
    return fit(frame, schema, recipe, deadline=deadline, executor=executor, on_progress=on_progress).model


def deadline_of(options: TrainSection, begin: float) -> float | None:
    """When the training must have ended, on the clock of `time.monotonic`; None where trials are counted instead."""
    if options.seconds is None and options.max_trials is not None:
        return None
    return begin + (options.seconds or DEFAULT_SECONDS)


def metric_of(schema: Schema, recipe: Recipe) -> Metric:
    """The metric that the recipe names, or the default one of the task. Raises RecipeError."""
    assert schema.task is not None
    return get_metric(recipe.target.metric, schema.task) if recipe.target.metric else default_metric(schema.task)


def threshold_metric_of(schema: Schema, recipe: Recipe) -> Metric | None:
    """The metric that the recipe has the decision threshold optimise; None leaves the choice. Raises RecipeError."""
    name = recipe.train.threshold_metric
    if name is None:
        return None
    metric = get_metric(name, schema.task)
    if schema.task is not Task.BINARY or metric.needs != "labels":
        raise RecipeError(
            "only a binary target has a threshold, and only a metric of labels depends on it",
            where="train.threshold_metric",
            received=f"{name} for a {schema.task} task",
            allowed=", ".join(metric.name for metric in metrics_for(Task.BINARY) if metric.needs == "labels"),
        )
    return metric


def fit(
    frame: pl.DataFrame,
    schema: Schema,
    recipe: Recipe,
    *,
    deadline: float | None,
    root: Path = Path(),
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> Fitted:
    """Split, encode, search, and compose the model. Rows without a target are left out.

    Paths in the recipe are relative to `root`.

    Raises DataError, RecipeError, TrainingError.
    """
    metric, threshold_metric = metric_of(schema, recipe), threshold_metric_of(schema, recipe)
    if schema.only(Role.WEIGHT) is not None:
        known = rows_with_target(frame, schema)
        row_weights(frame[known], schema, known)  # refused before any work, with the rows counted as they came
    frame, target = labelled_rows(frame, schema)
    split = seal(frame, schema, recipe)
    on_progress(Progress("encode", f"{len(split.train):,} rows to train on, {len(split.test):,} sealed for the test"))
    with scratch() as work_dir:
        data, encoder = encode_training_rows(frame, target, split.train, schema, recipe, folder=work_dir)
        result = run_search(
            data,
            metric,
            _options(recipe.train, root),
            deadline=_search_deadline(deadline, len(split.test)),
            executor=executor,
            on_progress=on_progress,
            work_dir=work_dir,
            threshold_metric=threshold_metric,
        )
    model = compose(result, encoder, schema, recipe, metric, len(split.train))
    if len(split.test):
        model.facts["test"] = test_score(model, frame[split.test], target[split.test], metric)
    return Fitted(model, frame, target, split, data, result)


def _options(options: TrainSection, root: Path) -> TrainSection:
    """For the search alone: the model keeps the path as it was given, which is the same on every machine."""
    return options.model_copy(update={"portfolio": str(root / options.portfolio)}) if options.portfolio else options


def labelled_rows(frame: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, Array]:
    """The rows that have a target, and their targets as codes or numbers. Raises SchemaError, DataError."""
    column = schema.target
    if column is None or schema.task is None:
        raise RecipeError(
            "there is no target column", next_step="name one with --target or under [target] in rowsmith.toml"
        )
    labelled = take_rows(frame, rows_with_target(frame, schema))
    if labelled.height == 0:
        raise DataError("every row lacks its target", where=f'column "{column.name}"')
    target = encode_target(labelled[column.name], schema)
    if schema.task is Task.REGRESSION:
        _require_size(target, column.name)
    return labelled, target


def _require_size(target: Array, name: str) -> None:
    """Learners keep targets as float32, and errors are squared."""
    too_large = np.flatnonzero(np.abs(target) > MAX_TARGET)
    if len(too_large):
        raise DataError(
            f"{len(too_large)} targets are too large to learn from",
            where=f'column "{name}"',
            received=f"{target[too_large[0]]:g}",
            allowed=f"numbers from -{MAX_TARGET:g} to {MAX_TARGET:g}",
            next_step="remove these rows if they stand for something else, or give the target in a larger unit",
        )


def encode_training_rows(
    frame: pl.DataFrame, target: Array, rows: Rows, schema: Schema, recipe: Recipe, *, folder: Path | None = None
) -> tuple[TrainingData, Any]:
    """The rows at some positions as numbers, with their folds; and the encoder, which looked at nothing else.

    A large matrix is made as a file in `folder`, where there is one, so that memory holds it once for all processes.
    """
    assert schema.task is not None
    every = len(rows) == frame.height
    conforming = _conforming(frame, rows, schema)
    encoder = fit_encoder(conforming, schema)
    of_roles = take_rows(frame.select(column.name for column in schema if column.roles), rows)
    data = TrainingData(
        matrix=encoder.encode(conforming, _room_in(folder, len(rows), len(encoder.features))),
        features=encoder.features,
        target=target if every else target[rows],
        weights=row_weights(of_roles, schema),
        folds=make_folds(of_roles, schema, recipe),
        repeats=_repeats(of_roles, schema, recipe),
        structure=Structure(*blocks) if (blocks := blocks_of(of_roles, schema)) else None,
        task=schema.task,
        classes=len(schema.labels),
    )
    return data, encoder


def _conforming(frame: pl.DataFrame, rows: Rows, schema: Schema) -> pl.DataFrame | ConformingColumns:
    """Of a small table as a frame, which is quicker where columns are many."""
    if frame.estimated_size() < LARGE_TABLE_BYTES:
        return Conformer(schema).frame(take_rows(frame, rows)).frame
    return Conformer(schema).columns(frame, None if len(rows) == frame.height else rows)


def _repeats(frame: pl.DataFrame, schema: Schema, recipe: Recipe) -> tuple[tuple[Fold, ...], ...]:
    """More sets of folds, where the table is small enough to be answered by bags that they make larger."""
    if frame.height >= BAG_ROWS or schema.only(Role.TIME) is not None:
        return ()
    return tuple(make_folds(frame, schema, recipe, repeat=repeat) for repeat in range(1, REPEATS + 1))


def _room_in(folder: Path | None, rows: int, columns: int) -> Matrix | None:
    """Zeros in a file of the folder; None for a small matrix, and where that cannot be done."""
    if folder is None or os.name != "posix" or 4 * rows * columns < LARGE_TABLE_BYTES / 2:
        return None  # Windows does not remove a folder of which a file is mapped
    try:
        return mapped_matrix(folder / "encoded.npy", rows, columns)
    except OSError:
        return None


def row_weights(frame: pl.DataFrame, schema: Schema, positions: Rows | None = None) -> Vector | None:
    """The weight column as float64, shape (rows,). Raises DataError for weights that are missing or negative.

    `positions` are the numbers of the rows in a message, where the frame is a part of the table.
    """
    column = schema.only(Role.WEIGHT)
    if column is None:
        return None
    weights = frame[column.name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise DataError(
            f"{len(wrong)} {'row has' if len(wrong) == 1 else 'rows have'} no usable weight",
            where=f'column "{column.name}", row {wrong[0] if positions is None else positions[wrong[0]]}',
            received=str(frame[column.name][int(wrong[0])]),
            allowed="finite numbers of at least 0",
            next_step="mend these rows, or leave them out",
        )
    return np.asarray(weights, dtype=np.float64)


def row_groups(frame: pl.DataFrame, schema: Schema) -> Rows | None:
    """Codes of the group column, shape (rows,): rows of one group have one code."""
    column = schema.only(Role.GROUP)
    return None if column is None else frame[column.name].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def compose(
    result: TrainingResult, encoder: Any, schema: Schema, recipe: Recipe, metric: Metric, rows: int
) -> TrainedModel:
    """The parts as one object. Facts hold nothing of the clock, so equal work gives equal bytes."""
    task = schema.task
    assert task is not None
    facts = {"metric": metric.name, "rows_trained": rows}

    def model(answering: Answering, single: TrainedModel | None = None) -> TrainedModel:
        return TrainedModel(
            schema=schema,
            recipe=recipe,
            task=task,
            encoder=encoder,
            members=answering.members,
            calibrator=answering.calibrator,
            threshold=answering.threshold,
            interval_width=answering.interval_width,
            facts={**facts, "cross_validation": answering.score, "row_us": round(answering.row_us, 1)},
            single=single,
        )

    return model(result.ensemble, model(result.single) if result.single else None)


def test_score(model: TrainedModel, frame: pl.DataFrame, target: Array, metric: Metric) -> JsonObject:
    """The one figure of the sealed test part that `train` gives; `rowsmith run` computes them all."""
    predicted = metric.predicted(model.scores(model.encode(frame)), model.threshold)
    score = metric.function(target, predicted, row_weights(frame, model.schema))
    return {"metric": metric.name, "score": score, "rows": frame.height}


def _search_deadline(deadline: float | None, test_rows: int) -> float | None:
    if deadline is None or test_rows == 0:
        return deadline
    return deadline - SCORING_SHARE * max(deadline - _now(), 0.0)


def _now() -> float:
    # A name of its own: `time` is an argument of train().
    return time.monotonic()
