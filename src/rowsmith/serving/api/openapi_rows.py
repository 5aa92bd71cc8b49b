"""What the OpenAPI document says of rows, answers and outcomes: made from the model's schema."""

from __future__ import annotations

import math

from rowsmith.conform import canonical_text
from rowsmith.model import TrainedModel
from rowsmith.schema import NUMERIC_KINDS, Column, Schema
from rowsmith.serving.api.openapi_parts import array, listing, ref
from rowsmith.serving.champion import Served
from rowsmith.serving.examples import date_text, example_row, example_value, plain_number
from rowsmith.types import ColumnKind, Json, JsonObject

MAX_LISTED = 200
MISSING: JsonObject = {"enum": [None, ""], "title": "missing"}


def rows(served: Served, max_rows: int) -> JsonObject:
    schema = served.inputs
    refuses = schema.policies
    row: JsonObject = {
        "type": "object",
        "properties": {column.name: property_of(column, schema) for column in schema.features},
        "additionalProperties": refuses.unknown_column != "error",
        "examples": [example_row(schema)],
    }
    if refuses.missing_column == "error":
        row["required"] = [column.name for column in schema.features if not column.is_optional]
    rows = {"type": "array", "items": ref("Row"), "minItems": 1, "maxItems": max_rows}
    one = {"type": "object", "properties": {"row": ref("Row")}, "required": ["row"], "additionalProperties": False}
    many = {"type": "object", "properties": {"rows": rows}, "required": ["rows"], "additionalProperties": False}
    return {"Row": row, "PredictRequest": {"oneOf": [many, one]}}


def property_of(column: Column, schema: Schema) -> JsonObject:
    """One column as JSON Schema: all that is taken, and nothing else. Facts of training are words, not limits."""
    alternatives, words = _alternatives(column, schema)
    if column.is_optional or schema.policies.missing_value != "error":
        alternatives = [*alternatives, MISSING]
    else:  # text of blanks alone is no value
        alternatives = [item | {"pattern": r"\S"} if item == {"type": "string"} else item for item in alternatives]
    missing = f"; missing in {column.missing:.1%} of the training rows" if column.missing else ""
    described = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    example = example_value(column)
    return {**described, "description": words + missing} | ({"examples": [example]} if example is not None else {})


def _alternatives(column: Column, schema: Schema) -> tuple[list[JsonObject], str]:
    """What a value may be, the usual first, and the same in words."""
    if column.kind in NUMERIC_KINDS:
        return [{"type": "number"}, *_NUMBER_LIKE], f"a number{_range(column)}"
    if column.kind is ColumnKind.BOOLEAN:
        return [{"type": "boolean"}, {"enum": [0, 1, "true", "false", "yes", "no"]}], "true or false"
    if column.kind is ColumnKind.DATETIME:
        words = f"a date, or a date with time{_range(column)}"
        if column.parsing.date_format.startswith("%Y"):
            return [{"type": "string"}], f"{words}; written as {column.parsing.date_format}"
        return [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}], words
    if column.kind is not ColumnKind.CATEGORY or not column.categories:
        return list(_SCALARS), "text"
    levels: list[JsonObject] = [{"enum": list(column.categories[:MAX_LISTED]), "title": "seen in training"}]
    if column.lists_every_category and schema.policies.unseen_category == "error":
        return levels, "one of the levels of training"
    # A level that training did not see is taken, so the list alone would refuse what the server takes.
    return [*levels, *_SCALARS], f"a category; training saw {column.level_count} levels, another one counts as other"


_NUMBER_LIKE: tuple[JsonObject, ...] = (
    {"type": "boolean"},
    {
        "type": "string",
        "pattern": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$",
        "title": "a number as text",
    },
)
_FINITE_TEXT: JsonObject = {
    "type": "string",
    "pattern": r"^[+-]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?$",
    "title": "a finite number as text",
}
_SCALARS: tuple[JsonObject, ...] = ({"type": "string"}, {"type": "number"}, {"type": "boolean"})


def _range(column: Column) -> str:
    if column.minimum is None or column.maximum is None:
        return ""
    bounds: tuple[Json, Json] = (column.minimum, column.maximum)
    if column.kind is ColumnKind.DATETIME:
        bounds = (date_text(column.minimum), date_text(column.maximum))
    elif column.kind in NUMERIC_KINDS:
        bounds = (plain_number(column.minimum, ColumnKind.NUMBER), plain_number(column.maximum, ColumnKind.NUMBER))
    return f"; from {bounds[0]} to {bounds[1]} in training"


def answers(model: TrainedModel) -> JsonObject:
    properties: JsonObject = {
        "id": {"type": "string", "description": "sortable by time; outcomes are reported under it"}
    }
    if model.task.is_classification:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        properties["prediction"] = {"type": "string", "enum": list(model.labels)}
        properties["probabilities"] = {
            "type": "object",
            "properties": {label: share for label in model.labels},
            "required": list(model.labels),
        }
    else:
        properties["prediction"] = {"type": "number"}
    if model.interval_width is not None:
        level = f"from low to high; it should hold {model.recipe.train.interval:.4g} of the true values"
        two: JsonObject = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        properties["interval"] = two | {"description": level}
    properties["warnings"] = array({"type": "string"})
    properties["explanation"] = ref("Explanation")
    required = ["id", "prediction"] + (["probabilities"] if "probabilities" in properties else [])
    by = listing(name={"type": "string"}, version={"type": "integer"})
    predictions = listing(model=by, predictions=array(ref("Prediction")))
    predictions["properties"]["warnings"] = array({"type": "string"}) | {"description": "about many rows at once"}
    return {
        "Prediction": {"type": "object", "properties": properties, "required": required},
        "Predictions": predictions,
        "Explanation": _explanation(model),
    }


def _explanation(model: TrainedModel) -> JsonObject:
    number = {"type": "number"}
    explanation = listing(
        answer=number | {"description": "what is explained: a probability of `label`, or the number"},
        base=number | {"description": "the mean answer that the contributions start from"},
        contributions={"type": "object", "additionalProperties": number, "description": "base + their sum = answer"},
    )
    if model.labels:
        explanation["properties"]["label"] = {"enum": list(model.labels)}
        explanation["required"].append("label")
    return explanation


def feedback(model: TrainedModel, max_rows: int) -> JsonObject:
    label = {**_outcome(model), "description": "the true outcome"}
    item = {
        "type": "object",
        "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 100}, "label": label},
        "required": ["id", "label"],
        "additionalProperties": False,
    }
    request = {
        "type": "object",
        "properties": {"labels": {"type": "array", "items": item, "minItems": 1, "maxItems": max_rows}},
        "required": ["labels"],
        "additionalProperties": False,
    }
    return {
        "LabelsRequest": request,
        "LabelsOutcome": listing(
            **{name: {"type": "integer", "minimum": 0} for name in ("added", "changed", "unchanged", "empty")},
            unknown=array({"type": "string"}),
        ),
    }


def _outcome(model: TrainedModel) -> JsonObject:
    """A label in the spellings that JSON has for it ("1", 1 and "true", true), or a number."""
    if not model.labels:
        return {"anyOf": [{"type": "number"}, {"type": "boolean"}, _FINITE_TEXT]}
    spellings: list[Json] = []
    for label in model.labels:
        spellings.append(label)
        for value in (True, False, *_number_in(label)):
            if canonical_text(value) == label:
                spellings.append(value)
    return {"enum": spellings}


def _number_in(label: str) -> tuple[int | float, ...]:
    """As JSON has numbers, which are finite: a label may be called nan or inf."""
    try:
        number = float(label)
    except ValueError:
        return ()
    return (plain_number(number, ColumnKind.NUMBER),) if math.isfinite(number) else ()
