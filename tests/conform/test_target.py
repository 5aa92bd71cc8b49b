from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from rowsmith.conform import encode_target
from rowsmith.errors import RecipeError, SchemaError
from rowsmith.schema import Column, Schema
from rowsmith.types import ColumnKind, Role, Task


def schema_of(labels: tuple[str, ...] = ()) -> Schema:
    target = Column("y", ColumnKind.CATEGORY if labels else ColumnKind.NUMBER, roles=(Role.TARGET,))
    return Schema((target,), Task.MULTICLASS if labels else Task.REGRESSION, labels)


@pytest.mark.parametrize(
    ("values", "labels", "codes"),
    [
        (["no", "yes ", "no"], ("yes", "no"), [1, 0, 1]),
        ([0, 1, 1], ("0", "1"), [0, 1, 1]),
        ([1.0, 0.0, 1.0], ("0", "1"), [1, 0, 1]),
        ([True, False, True], ("false", "true"), [1, 0, 1]),
        ([2, 10, 9], ("2", "9", "10"), [0, 2, 1]),
    ],
)
def test_labels_become_codes(values: list[Any], labels: tuple[str, ...], codes: list[int]) -> None:
    encoded = encode_target(pl.Series("y", values), schema_of(labels))
    assert encoded.dtype == np.int64 and encoded.tolist() == codes


def test_numbers_stay_numbers() -> None:
    encoded = encode_target(pl.Series("y", ["1.5", " 2", "3e2"]), schema_of())
    assert encoded.dtype == np.float64 and encoded.tolist() == [1.5, 2.0, 300.0]


@pytest.mark.parametrize(
    ("values", "labels", "code", "row"),
    [
        (["a", None], ("a", "b"), "missing_value", 1),
        (["c", "a"], ("a", "b"), "unseen_category", 0),
        ([1.0, float("nan")], (), "missing_value", 1),
        ([1.0, float("inf")], (), "out_of_range", 1),
        (["1", "x"], (), "wrong_type", 1),
    ],
)
def test_a_target_that_cannot_be_used_names_its_row(
    values: list[Any], labels: tuple[str, ...], code: str, row: int
) -> None:
    with pytest.raises(SchemaError) as caught:
        encode_target(pl.Series("y", values), schema_of(labels))
    (fault,) = caught.value.faults
    assert (fault.code, fault.row, fault.column) == (code, row, "y")


def test_a_schema_without_target_is_refused() -> None:
    with pytest.raises(RecipeError):
        encode_target(pl.Series("y", [1]), Schema((Column("y", ColumnKind.NUMBER),)))
