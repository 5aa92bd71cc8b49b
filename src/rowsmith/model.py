"""TrainedModel: schema, encoder, learners, calibration and threshold in one object that predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import narwhals as nw
import numpy as np
import polars as pl

from rowsmith.blend import Blend
from rowsmith.conform import Conformer, frame_of_rows
from rowsmith.conform.dataframes import to_polars
from rowsmith.recipe import Recipe
from rowsmith.schema import Schema
from rowsmith.state import State
from rowsmith.storage import archive

# Feature lives in types, so that a worker process that fits a learner need not load the dataframe library.
from rowsmith.types import Feature as Feature
from rowsmith.types import Interval, JsonObject, Matrix, Prediction, Scores2D, Task, Vector

PREDICTION_COLUMN = "prediction"
SINGLE = "single-"
"""What the names of the single model's parts begin with."""


class Encoder(Protocol):
    """Turns conforming rows into numbers, without looking at the target. The row path gives the batch path's bits."""

    @property
    def features(self) -> tuple[Feature, ...]: ...

    def encode(self, frame: pl.DataFrame) -> Matrix:
        """Conforming frame (see `Conformer`) to shape (rows, features)."""
        ...

    def encode_row(self, row: Mapping[str, Any]) -> Matrix:
        """Conforming row to shape (features,)."""
        ...

    def to_state(self) -> State: ...


class Learner(Protocol):
    """A fitted model over the encoded matrix; whatever it needs in between (scaling, target encoding) is its own.

    A class of which an ensemble holds several may answer a row for all of them at once (`rowsmith.blend.Joining`).
    """

    family: ClassVar[str]

    def predict(self, matrix: Matrix) -> Scores2D:
        """Shape (rows, features) to class probabilities (rows, classes), or numbers (rows, 1)."""
        ...

    def predict_row(self, vector: Matrix) -> Vector:
        """Shape (features,) to (classes,) or (1,): the very bits that `predict` gives for this row."""
        ...

    @property
    def row_us(self) -> float:
        """Microseconds that the learner adds to the answer for one row: guessed from its size, never by a clock."""
        ...

    def to_state(self) -> State: ...


class Calibrator(Protocol):
    """Maps class probabilities to better ones, shape kept; each row on its own."""

    def apply(self, scores: Scores2D) -> Scores2D: ...

    def to_state(self) -> State: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A learner of the ensemble and its share; the shares of an ensemble of numbers sum to 1."""

    weight: float
    learner: Learner
    trial: str = ""


@dataclass(frozen=True)
class TrainedModel:
    """What training produces and everything else uses: files, single rows, the API and the page.

    `threshold` is the probability of the event from which a binary answer is the event.
    `interval_width` holds the lower and upper offset that turn a number into a prediction interval
    (split-conformal quantiles of out-of-fold residuals; Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
    `facts` is plain JSON about how it came to be (metric, scores of cross-validation, leaderboard, seconds, ...).
    `single` is a model of one learner beside an ensemble: quicker and smaller, at the price in accuracy that its facts
    state beside those of the whole. It is None where there is no ensemble. With `is_pool` the weights of the members
    are exponents of their probabilities (see `blend.py`), otherwise factors.
    """

    kind: ClassVar[str] = "model"

    schema: Schema
    recipe: Recipe
    task: Task
    encoder: Encoder
    members: tuple[Member, ...]
    calibrator: Calibrator | None = None
    threshold: float = 0.5
    interval_width: Interval | None = None
    facts: JsonObject = field(default_factory=dict)
    single: TrainedModel | None = None
    is_pool: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "conformer", Conformer(self.schema, self.recipe.expect))
        object.__setattr__(self, "labels", self.schema.labels)

    conformer: Conformer = field(init=False, repr=False, compare=False)
    labels: tuple[str, ...] = field(init=False, repr=False, compare=False)

    @cached_property
    def _blend(self) -> Blend:
        shares = [member.weight for member in self.members]
        outputs = max(len(self.labels), 1)
        return Blend([member.learner for member in self.members], shares, outputs, is_pool=self.is_pool)

    # -- batch ---------------------------------------------------------------------------------------------

    def predict(self, rows: Any) -> Any:
        """Labels as text, or numbers: a series of the caller's dataframe library, one value a row.

        `rows` is any dataframe (pandas, polars, Arrow, ...) or a list of dicts. Raises SchemaError.
        """
        frame, native = _to_polars(rows)
        table = self.predict_frame(frame)
        return _to_native(table.select(PREDICTION_COLUMN), native)[PREDICTION_COLUMN]

    def predict_proba(self, rows: Any) -> Any:
        """A dataframe of the caller's library, one column per class, named by the label; each row sums to 1."""
        if not self.task.is_classification:
            raise AttributeError("predict_proba is for classification; this model predicts a number")
        frame, native = _to_polars(rows)
        scores = self.scores(self.encode(frame))
        return _to_native(pl.DataFrame(scores, schema=list(self.labels)), native)

    def predict_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The full answer for each row, in order: `prediction`, then `probability_<label>` or `low` and `high`."""
        return self.answer_frame(self.scores(self.encode(frame)))

    def encode(self, frame: pl.DataFrame) -> Matrix:
        """Any frame with the schema's columns to the encoded matrix. Raises SchemaError."""
        return self.encoder.encode(self.conformer.frame(frame).frame)

    def scores(self, matrix: Matrix) -> Scores2D:
        """Encoded matrix to calibrated probabilities (rows, classes), or numbers (rows, 1)."""
        total = self._blend.predict(matrix)
        return self.calibrator.apply(total) if self.calibrator else total

    def answer_frame(self, scores: Scores2D) -> pl.DataFrame:
        """Scores to the columns that `predict_frame` promises."""
        if self.task.is_classification:
            labels = pl.Series(self.labels, dtype=pl.String).gather(self.choose(scores))
            columns = {f"probability_{label}": scores[:, i] for i, label in enumerate(self.labels)}
            return pl.DataFrame({PREDICTION_COLUMN: labels, **columns})
        answer = {PREDICTION_COLUMN: scores[:, 0]}
        if self.interval_width is not None:
            answer |= {"low": scores[:, 0] + self.interval_width.low, "high": scores[:, 0] + self.interval_width.high}
        return pl.DataFrame(answer)

    def choose(self, scores: Scores2D) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Class codes, shape (rows,): the threshold decides for two classes, the largest probability for more."""
        chosen = scores[:, 1] >= self.threshold if self.task is Task.BINARY else scores.argmax(axis=1)
        return np.asarray(chosen, dtype=np.int64)

    # -- one row -------------------------------------------------------------------------------------------

    def predict_row(self, row: Mapping[str, Any]) -> Prediction:
        """One dict in, one answer out, with the very bits of the batch path. Raises SchemaError."""
        conforming = self.conformer.row(row)
        scores = self.scores_row(self.encoder.encode_row(conforming.row))
        return self.answer(scores, warnings=tuple(fault.message for fault in conforming.warnings))

    def scores_row(self, vector: Matrix) -> Vector:
        """Shape (features,) to (classes,) or (1,)."""
        total = self._blend.predict_row(vector)
        return self.calibrator.apply(total[None, :])[0] if self.calibrator else total

    def answer(self, scores: Vector, warnings: tuple[str, ...] = ()) -> Prediction:
        values: list[float] = scores.tolist()
        if self.task.is_classification:
            chosen = int(values[1] >= self.threshold) if self.task is Task.BINARY else int(scores.argmax())
            return Prediction(self.labels[chosen], dict(zip(self.labels, values, strict=True)), warnings=warnings)
        width = self.interval_width
        interval = Interval(values[0] + width.low, values[0] + width.high) if width else None
        return Prediction(values[0], interval=interval, warnings=warnings)

    def answers(self, scores: Scores2D, warnings: Mapping[int, tuple[str, ...]]) -> tuple[Prediction, ...]:
        """`answer` for each row, shape (rows, outputs); `warnings` by row, of those that have any."""
        if not self.task.is_classification:
            return tuple(self.answer(row, warnings.get(i, ())) for i, row in enumerate(scores))
        labels = self.labels
        chosen = self.choose(scores).tolist()
        return tuple(
            Prediction(labels[code], dict(zip(labels, values, strict=True)), warnings=warnings.get(i, ()))
            for i, (code, values) in enumerate(zip(chosen, scores.tolist(), strict=True))
        )

    # -- on disk -------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write the artifact folder (see storage/archive.py); `rowsmith.load` reads it back. Raises StorageError."""
        return archive.write(Path(folder), self.to_state())

    def to_state(self) -> State:
        children = self._answering_parts()
        children["encoder"] = self.encoder.to_state()
        data: JsonObject = {
            "schema": self.schema.to_dict(),
            "recipe": self.recipe.to_dict(),
            "task": self.task.value,
            **self._answering_data(),
        }
        if self.single is not None:
            data["single"] = self.single._answering_data()
            children |= {f"{SINGLE}{name}": part for name, part in self.single._answering_parts().items()}
        return State(self.kind, data, children=children)

    def _answering_parts(self) -> dict[str, State]:
        parts = {f"member-{i}": member.learner.to_state() for i, member in enumerate(self.members)}
        return parts | ({"calibrator": self.calibrator.to_state()} if self.calibrator is not None else {})

    def _answering_data(self) -> JsonObject:
        width = self.interval_width
        return {
            "members": [{"weight": member.weight, "trial": member.trial} for member in self.members],
            "threshold": self.threshold,
            "interval_width": [width.low, width.high] if width else None,
            "facts": self.facts,
            "is_pool": self.is_pool,
        }

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> TrainedModel:
        """`parts` are the restored children of `state`, by name (see workflows/artifact.py)."""
        data = state.data
        schema, recipe = Schema.from_dict(data["schema"]), Recipe.from_dict(data["recipe"])

        def model(data: JsonObject, prefix: str = "", single: TrainedModel | None = None) -> TrainedModel:
            width = data["interval_width"]
            return cls(
                schema=schema,
                recipe=recipe,
                task=Task(state.data["task"]),
                encoder=parts["encoder"],
                members=tuple(
                    Member(item["weight"], parts[f"{prefix}member-{i}"], item["trial"])
                    for i, item in enumerate(data["members"])
                ),
                calibrator=parts.get(f"{prefix}calibrator"),
                threshold=data["threshold"],
                interval_width=Interval(*width) if width else None,
                facts=data["facts"],
                single=single,
                is_pool=data.get("is_pool", False),
            )

        return model(data, single=model(data["single"], SINGLE) if "single" in data else None)


def _to_polars(rows: Any) -> tuple[pl.DataFrame, Any]:
    """The rows as polars, and the caller's own dataframe (None: polars answers)."""
    if isinstance(rows, pl.DataFrame):
        return rows, None
    if isinstance(rows, pl.LazyFrame):
        return rows.collect(), None
    if isinstance(rows, Mapping):
        rows = [rows]
    if isinstance(rows, Sequence):
        return frame_of_rows(rows), None
    return to_polars(rows), nw.from_native(rows, eager_only=True)


def _to_native(table: pl.DataFrame, caller: Any) -> Any:
    """The answer in the library of the caller's dataframe, with its index where it has one."""
    if caller is None:
        return table
    answer = nw.from_dict(table.to_dict(as_series=False), backend=nw.get_native_namespace(caller))
    native = answer.to_native()
    index = nw.maybe_get_index(caller)
    if index is not None:
        native.index = index
    return native
