"""Ledger: champions come and go, each with a line that nobody can change."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from rowsmith.errors import NotFoundError, StorageError
from rowsmith.registry.ledger import LedgerEntry, reigns
from rowsmith.registry.versions import Registry
from rowsmith.state import State
from rowsmith.storage import archive
from rowsmith.storage.database import Database

VERSIONS = 4


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    registry = Registry(database, tmp_path / "versions")
    for _ in range(VERSIONS):
        registry.add(
            "m", lambda folder: void(archive.write(folder / "model", State("x"))), lineage={}, metric="rmse", score=1.0
        )
    return registry


def void(_: object) -> None:
    """Writers answer nothing."""


def promote(registry: Registry, number: int) -> LedgerEntry:
    return registry.promote("m", number, reason="better", actor="ada", evidence={"score": 0.9})


def rollback(registry: Registry) -> LedgerEntry:
    return registry.rollback("m", reason="worse", actor="bob")


def champion(registry: Registry) -> int | None:
    found = registry.champion("m")
    return None if found is None else found.number


def test_a_promotion_is_written_down(registry: Registry) -> None:
    assert champion(registry) is None
    entry = promote(registry, 2)
    assert (entry.action, entry.position, entry.from_number, entry.to_number) == ("promote", 1, None, 2)
    assert (entry.actor, entry.reason, entry.evidence) == ("ada", "better", {"score": 0.9})
    assert registry.ledger("m") == (entry,)
    assert champion(registry) == 2 and registry.get("m").number == 2
    assert promote(registry, 3).from_number == 2


def test_promoting_the_champion_again_changes_nothing(registry: Registry) -> None:
    promote(registry, 1)
    first = promote(registry, 2)
    assert promote(registry, 2) == first
    assert len(registry.ledger("m")) == 2
    assert rollback(registry).to_number == 1


def test_a_version_that_does_not_exist_is_not_promoted(registry: Registry) -> None:
    with pytest.raises(NotFoundError):
        promote(registry, 99)
    assert registry.ledger("m") == ()


def test_rolling_back_goes_back_one_champion_at_a_time(registry: Registry) -> None:
    for number in (1, 2, 3):
        promote(registry, number)
    entry = rollback(registry)
    assert (entry.action, entry.from_number, entry.to_number, entry.evidence) == ("rollback", 3, 2, {})
    assert champion(registry) == 2
    assert rollback(registry).to_number == 1
    with pytest.raises(NotFoundError, match=r'no champion of "m" came before version 1'):
        rollback(registry)
    promote(registry, 4)
    assert rollback(registry).to_number == 1
    assert champion(registry) == 1
    assert [line.position for line in registry.ledger("m")] == [1, 2, 3, 4, 5, 6, 7]


def test_without_a_champion_there_is_no_way_back(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="no champion yet"):
        rollback(registry)
    with pytest.raises(NotFoundError, match="no model called"):
        registry.rollback("other", reason="", actor="")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rowsmith_ledger SET actor = 'eve'",
        "UPDATE rowsmith_ledger SET actor = actor WHERE position = 1",
        "DELETE FROM rowsmith_ledger",
        "DELETE FROM rowsmith_ledger WHERE position = 2",
    ],
)
def test_a_line_cannot_be_changed(registry: Registry, database: Database, statement: str) -> None:
    promote(registry, 1)
    lines = (*registry.ledger("m"), promote(registry, 2))
    with pytest.raises(StorageError, match="the ledger is append-only"), database.writing() as connection:
        connection.execute(text(statement))
    assert registry.ledger("m") == lines


def test_a_line_cannot_be_replaced_or_all_be_truncated(registry: Registry, database: Database) -> None:
    line = promote(registry, 1)
    statement = "TRUNCATE rowsmith_ledger"
    if database.is_sqlite:
        statement = (
            "REPLACE INTO rowsmith_ledger SELECT name, position, action, 2, 2, 'eve', '', '{}', '' FROM rowsmith_ledger"
        )
    with pytest.raises(StorageError, match="the ledger is append-only"), database.writing() as connection:
        connection.execute(text(statement))
    assert registry.ledger("m") == (line,)


def test_a_version_with_a_line_cannot_vanish(registry: Registry, database: Database) -> None:
    promote(registry, 1)
    with pytest.raises(StorageError), database.writing() as connection:
        connection.execute(text("DELETE FROM rowsmith_versions WHERE number = 1"))
    assert champion(registry) == 1


def test_promotions_at_once_all_have_their_line(registry: Registry) -> None:
    threads = [threading.Thread(target=promote, args=(registry, 1 + i % VERSIONS)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = registry.ledger("m")
    assert [line.position for line in lines] == list(range(1, len(lines) + 1))
    assert [line.from_number for line in lines] == [None, *(line.to_number for line in lines[:-1])]
    assert all(line.from_number != line.to_number for line in lines)


def line(action: str, number: int) -> LedgerEntry:
    return LedgerEntry("m", 0, action, None, number, "", "", {}, "")  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 5) | st.none(), max_size=30))
def test_the_stack_agrees_with_a_plain_undo_list(acts: list[int | None]) -> None:
    """None rolls back where that is possible."""
    undo: list[int] = []
    lines: list[LedgerEntry] = []
    for number in acts:
        if number is not None and undo[-1:] != [number]:
            undo.append(number)
            lines.append(line("promote", number))
        elif number is None and len(undo) > 1:
            undo.pop()
            lines.append(line("rollback", undo[-1]))
    assert reigns(lines) == tuple(undo)
    assert not lines or lines[-1].to_number == undo[-1]
