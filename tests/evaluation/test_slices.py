from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from rowsmith.evaluation.metrics import get_metric
from rowsmith.evaluation.segments import MISSING, OTHER, segments_of, show_number
from rowsmith.evaluation.slices import discoveries, slice_scores
from rowsmith.evaluation.testset import TestSet
from rowsmith.schema import Column
from rowsmith.types import ColumnKind, Task
from tests.evaluation.models import World, world


def sealed(made: World, metric: str) -> TestSet:
    return TestSet.of(made.model, made.frame, made.target, get_metric(metric, made.model.task), None, 0)


def test_levels_come_most_frequent_first_and_the_rest_together() -> None:
    values = pl.Series(["b"] * 3 + ["a"] * 3 + ["c", "d", None])
    found = segments_of(values, Column("v", ColumnKind.CATEGORY), max_levels=2)
    assert [(s.label, s.rows.tolist()) for s in found] == [
        ("a", [3, 4, 5]),
        ("b", [0, 1, 2]),
        (OTHER, [6, 7]),
        (MISSING, [8]),
    ]


def test_deciles_hold_every_row_once() -> None:
    random = np.random.default_rng(0)
    values = pl.Series(random.normal(size=1000)).set(pl.Series(random.random(1000) < 0.1), None)
    found = segments_of(values, Column("v", ColumnKind.NUMBER))
    assert len(found) == 11
    assert sorted(np.concatenate([s.rows for s in found]).tolist()) == list(range(1000))
    assert [s.low for s in found[:-1]] == sorted(s.low for s in found[:-1] if s.low is not None)
    assert {len(s.rows) for s in found[:-1]} <= set(range(80, 100))
    assert found[-1].label == MISSING


def test_a_frequent_number_is_a_segment_of_its_own() -> None:
    values = pl.Series([0.0] * 80 + [float(i) for i in range(1, 21)])
    found = segments_of(values, Column("v", ColumnKind.INTEGER))
    assert (found[0].label, len(found[0].rows)) == ("0", 80)
    assert all(s.low is not None and s.low > 0 for s in found[1:])


def test_dates_booleans_and_text() -> None:
    dates = pl.Series([0, 86_400_000_000, None]).cast(pl.Datetime("us"))
    assert [s.label for s in segments_of(dates, Column("v", ColumnKind.DATETIME), bins=2)] == [
        "1970-01-01",
        "1970-01-02",
        MISSING,
    ]
    flags = pl.Series([True, False, True])
    assert [s.label for s in segments_of(flags, Column("v", ColumnKind.BOOLEAN))] == ["true", "false"]
    assert segments_of(pl.Series(["some words"]), Column("v", ColumnKind.TEXT)) == ()


@pytest.mark.parametrize("values", [[], [None, None]])
def test_nothing_to_cut(values: list[None]) -> None:
    for kind in (ColumnKind.NUMBER, ColumnKind.CATEGORY):
        dtype = pl.Float64 if kind is ColumnKind.NUMBER else pl.String
        found = segments_of(pl.Series(values, dtype=dtype), Column("v", kind))
        assert [s.label for s in found] == [MISSING] * bool(values)


def test_infinite_numbers_do_no_harm() -> None:
    found = segments_of(pl.Series([1.0, 2.0, float("inf")]), Column("v", ColumnKind.NUMBER))
    assert [s.label for s in found] == ["1", "2"]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (3.0, ColumnKind.NUMBER, "3"),
        (2016.0, ColumnKind.INTEGER, "2016"),
        (1234567.0, ColumnKind.NUMBER, "1,234,567"),
        (0.123456, ColumnKind.NUMBER, "0.1235"),
        (-2.5, ColumnKind.NUMBER, "-2.5"),
        (1e20, ColumnKind.NUMBER, "1e+20"),
        (86400.0, ColumnKind.DATETIME, "1970-01-02"),
        (-3600.0, ColumnKind.DATETIME, "1969-12-31 23:00"),
    ],
)
def test_numbers_as_a_person_writes_them(value: float, kind: ColumnKind, text: str) -> None:
    assert show_number(value, kind) == text


def test_a_part_where_the_model_fails_is_flagged_and_no_other() -> None:
    made = world(Task.BINARY, 3000)
    target = made.target.copy()
    red = (made.frame["colour"] == "red").to_numpy()
    target[red] = 1 - target[red]
    made = World(made.model, made.frame, target, made.baselines)
    found = slice_scores(sealed(made, "log_loss"), ["colour", "sex"])
    flagged = [(item["column"], item["label"]) for item in found if item["flagged"]]
    assert flagged == [("colour", "red")]
    item = found[0]
    assert item["label"] == "red"
    assert item["rows"] == red.sum()
    assert item["score"] > 1
    assert 0 < item["standard_error"] < 0.2


def test_where_all_is_chance_hardly_anything_is_flagged() -> None:
    made = world(Task.REGRESSION, 4000)
    found = slice_scores(sealed(made, "rmse"), ["noise", "colour", "sex", "age", "seen", "old"])
    assert len(found) > 30
    assert sum(item["flagged"] for item in found) <= 2


def test_small_parts_are_listed_without_a_score() -> None:
    made = world(Task.BINARY, 60)
    found = slice_scores(sealed(made, "roc_auc"), ["noise"])
    assert len(found) == 10
    assert all(item["score"] is None and not item["flagged"] and item["rows"] == 6 for item in found)


def test_benjamini_hochberg_against_its_own_example() -> None:
    # Benjamini and Hochberg 1995, section 3.2: the first four of fifteen are rejected at 0.05.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert discoveries(p) == [True] * 4 + [False] * 11
    assert discoveries([None, 0.001, None]) == [False, True, False]
    assert discoveries([]) == []
    assert discoveries([None]) == [False]
