"""Answers: what was said of rows, one by one or as a table; the forms it is given in, and how it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import polars as pl

from rowsmith.conform import ConformingRow
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.monitoring.log_journal import Tell
from rowsmith.monitoring.log_table import LogTable, ids_of
from rowsmith.serving.champion import Served
from rowsmith.serving.table_rows import ConformingTable, frame_of_conforming
from rowsmith.types import JsonObject, Prediction

MakeEntry: TypeAlias = Callable[..., LogEntry]
"""Makes entries of what those of a request have in common, and what is given."""


@dataclass(slots=True)  # not frozen, since one is made for each request
class RowAnswers:
    """Predictions in the order of the rows, each with the id that its true outcome is reported under."""

    served: Served
    ids: Sequence[str]
    predictions: Sequence[Prediction]
    conforming: Sequence[ConformingRow]

    @property
    def values(self) -> list[str | float]:
        """Labels, or numbers."""
        return [prediction.value for prediction in self.predictions]

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about many rows at once."""
        return ()

    @property
    def warnings(self) -> list[str]:
        """All that was odd about the rows, each once."""
        return list(dict.fromkeys(text for prediction in self.predictions for text in prediction.warnings))

    def items(self) -> list[JsonObject]:
        pairs = zip(self.ids, self.predictions, strict=True)
        return [{"id": id_, **prediction.to_dict()} for id_, prediction in pairs]

    def to_dict(self) -> JsonObject:
        return {"model": self.served.to_dict(), "predictions": self.items()}

    def to_frame(self) -> pl.DataFrame:
        """`id`, then the columns of `TrainedModel.answer_frame`."""
        columns = {"id": pl.Series(self.ids, dtype=pl.String)}
        labels = self.served.model.labels
        columns[PREDICTION_COLUMN] = pl.Series(self.values, dtype=pl.String if labels else pl.Float64)
        for label in labels:
            shares = [(prediction.probabilities or {})[label] for prediction in self.predictions]
            columns[f"probability_{label}"] = pl.Series(shares, dtype=pl.Float64)
        if self.predictions and self.predictions[0].interval is not None:
            intervals = [prediction.interval for prediction in self.predictions]
            columns["low"] = pl.Series([item.low if item else None for item in intervals], dtype=pl.Float64)
            columns["high"] = pl.Series([item.high if item else None for item in intervals], dtype=pl.Float64)
        return pl.DataFrame(columns)

    def keep(self, log: PredictionLog, entry: MakeEntry, tell: Tell | None = None) -> None:
        """The columns that the model looked at are kept: what else a caller sent is none of its business."""
        items = zip(self.ids, self.each(), strict=True)
        log.append([entry(id=id_, inputs=row, answer=answer) for id_, (row, answer) in items], tell)

    def each(self) -> list[tuple[JsonObject, JsonObject]]:
        """Conforming rows and their answers, as the log keeps them."""
        pairs = zip(self.conforming, self.predictions, strict=True)
        return [(item.row, prediction.to_dict()) for item, prediction in pairs]

    def to_log(self, common: LogEntry) -> LogTable:
        """As a table of the log."""
        inputs = frame_of_conforming(self.served.model.schema, self.conforming)
        warnings = {i: answer.warnings for i, answer in enumerate(self.predictions) if answer.warnings}
        return LogTable(common, inputs, self.to_frame().drop("id"), warnings)


@dataclass(frozen=True)
class TableAnswers:
    """The same for rows that were looked at as a table. `frame` has the columns of `TrainedModel.answer_frame`, and the
    rows' ids begin with that of the `table`."""

    served: Served
    table: str
    frame: pl.DataFrame
    conforming: ConformingTable

    @cached_property
    def ids(self) -> list[str]:
        return ids_of(self.table, self.frame.height)

    @property
    def values(self) -> list[str | float]:
        return self.frame[PREDICTION_COLUMN].to_list()

    @property
    def notes(self) -> tuple[str, ...]:
        return self.conforming.notes

    @property
    def warnings(self) -> list[str]:
        told = [text for texts in self.conforming.warnings.values() for text in texts]
        return list(dict.fromkeys([*self.notes, *told]))

    def items(self) -> list[JsonObject]:
        items = _items(self.ids, self.frame, self.served.model.labels)
        for row, warnings in self.conforming.warnings.items():
            items[row]["warnings"] = list(warnings)
        return items

    def to_dict(self) -> JsonObject:
        document: JsonObject = {"model": self.served.to_dict(), "predictions": self.items()}
        return document | ({"warnings": list(self.notes)} if self.notes else {})

    def to_frame(self) -> pl.DataFrame:
        return pl.DataFrame([pl.Series("id", self.ids), *self.frame])

    def keep(self, log: PredictionLog, entry: MakeEntry, tell: Tell | None = None) -> None:
        log.append_tables([self.to_log(entry(id=self.table))], tell)

    def each(self) -> list[tuple[JsonObject, JsonObject]]:
        items = self.items()
        for item in items:
            del item["id"]
        return [(item.row, answer) for item, answer in zip(self.conforming, items, strict=True)]

    def to_log(self, common: LogEntry) -> LogTable:
        return LogTable(common, self.conforming.frame, self.frame, self.conforming.warnings)


Answers: TypeAlias = RowAnswers | TableAnswers


def _items(ids: Sequence[str], frame: pl.DataFrame, labels: Sequence[str]) -> list[JsonObject]:
    """Each row as its id and `Prediction.to_dict`."""
    values, *others = (column.to_list() for column in frame)
    if labels:
        return [
            {"id": id_, "prediction": value, "probabilities": dict(zip(labels, row))}  # noqa: B905 (it costs a third)
            for id_, value, row in zip(ids, values, zip(*others, strict=True), strict=True)
        ]
    if not others:
        return [{"id": id_, "prediction": value} for id_, value in zip(ids, values, strict=True)]
    return [
        {"id": id_, "prediction": value, "interval": [low, high]}
        for id_, value, low, high in zip(ids, values, *others, strict=True)
    ]
