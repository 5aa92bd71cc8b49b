"""The tensors of a model, as the Open Inference Protocol tells of them: what goes in, and what comes out."""

from __future__ import annotations

from rowsmith.model import TrainedModel
from rowsmith.schema import NUMERIC_KINDS, Column, Schema
from rowsmith.serving.protocols.tensors import TEXT
from rowsmith.types import ColumnKind, JsonObject


def inputs_of(schema: Schema) -> list[JsonObject]:
    """The usual type of each column. Others are taken too: a number as text, and empty text for what is missing."""
    return [
        {"name": column.name, "datatype": _datatype(column), "shape": [-1]}
        | {"parameters": {"optional": column.is_optional}}
        for column in schema.features
    ]


def _datatype(column: Column) -> str:
    if column.kind is ColumnKind.BOOLEAN:
        return "BOOL"
    return "FP64" if column.kind in NUMERIC_KINDS else TEXT


def outputs_of(model: TrainedModel) -> list[JsonObject]:
    """The columns of `rowsmith predict` after the id. An interval says what share of the true values it should hold."""
    labels = model.labels
    outputs = [_output("id", TEXT), _output("prediction", TEXT if labels else "FP64")]
    outputs += [_output(f"probability_{label}", "FP64") for label in labels]
    if model.interval_width is not None:
        level: JsonObject = {"parameters": {"coverage": model.recipe.train.interval}}
        outputs += [_output(name, "FP64") | level for name in ("low", "high")]
    return outputs


def _output(name: str, datatype: str) -> JsonObject:
    return {"name": name, "datatype": datatype, "shape": [-1]}
