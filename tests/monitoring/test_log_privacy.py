"""Personal columns never reach the database as they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from rowsmith.monitoring.log import LogEntry, PredictionLog
from rowsmith.monitoring.log_privacy import MARK, Privacy
from rowsmith.storage.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROW = {"name": "Ada Lovelace", "age": 36, "city": "London", "phone": None}
ANSWER = {"prediction": "no", "warnings": ["name: 'Ada Lovelace' was not seen in training"]}
KEY = b"k" * 32


def privacy(**changes: object) -> Privacy:
    options = {"columns": frozenset({"name", "phone"}), "treatment": "pseudonym", "find_key": lambda: KEY}
    return Privacy(**(options | changes))  # type: ignore[arg-type]


def everything(database: Database) -> str:
    with database.reading() as connection:
        return str(connection.execute(text("SELECT * FROM rowsmith_predictions")).all())


def test_a_pseudonym_stands_for_the_value(database: Database) -> None:
    log = PredictionLog(database, privacy=privacy())
    log.append([LogEntry(str(number), "m", 1, NOW, ROW, ANSWER) for number in range(2)])
    assert "Ada" not in everything(database) and "Lovelace" not in everything(database)
    inputs = log.window("m").inputs
    first, second = inputs["name"].to_list()
    assert first == second and first.startswith(MARK) and len(first) == len(MARK) + 32
    assert inputs["age"].to_list() == [36, 36] and inputs["phone"].to_list() == [None, None]


def test_or_nothing_does(database: Database) -> None:
    log = PredictionLog(database, privacy=privacy(treatment="omit"))
    log.append([LogEntry("1", "m", 1, NOW, ROW, ANSWER)])
    assert "Ada" not in everything(database)
    assert log.window("m").inputs.columns == ["age", "city"]


def test_pseudonyms_depend_on_key_column_and_value() -> None:
    ours = privacy()
    assert ours.pseudonym("name", "Ada") == privacy().pseudonym("name", "Ada")
    others = {
        privacy(find_key=lambda: b"o" * 32).pseudonym("name", "Ada"),
        ours.pseudonym("phone", "Ada"),
        ours.pseudonym("name", "ada"),
        ours.pseudonym("name", "Ada"),
    }
    assert len(others) == 4


@pytest.mark.parametrize("value", [1, 1.5, True, "naïve", "\ud800", "", 2**70])
def test_any_value_has_one(value: object) -> None:
    assert privacy().pseudonym("name", value).startswith(MARK)


def test_the_same_number_has_one_pseudonym() -> None:
    assert privacy().pseudonym("phone", 3) == privacy().pseudonym("phone", 3.0)


def test_a_row_without_such_columns_is_left_alone() -> None:
    row = {"age": 1}
    assert privacy().inputs(row) is row
