"""rowsmith erase."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rowsmith.monitoring.log import LogEntry
from rowsmith.workflows.project import Project, open_project
from tests.cli.conftest import Command


@pytest.fixture
def here(tmp_path: Path) -> Path:
    project = open_project(tmp_path)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [LogEntry(str(n), "m", 1, now, {"customer": f"c-{n}"}, {"prediction": 1.0}) for n in range(5)]
    project.log.append(rows)
    project.database.close()
    (tmp_path / "people.txt").write_text("c-1\nc-2\n", encoding="utf-8")
    return tmp_path


def left(here: Path) -> int:
    project: Project = open_project(here)
    try:
        return len(project.log.window("m"))
    finally:
        project.database.close()


def test_counted_then_erased(rowsmith: Command, here: Path) -> None:
    command = ("erase", here / "people.txt", "--column", "customer", "--project", here)
    counted = rowsmith(*command, "--dry-run", "--json")
    assert counted.code == 0 and counted.json["predictions"] == 2 and counted.json["dry_run"] and left(here) == 5
    refused = rowsmith(*command, "--json")
    assert refused.code == 2 and "--yes" in refused.json["error"]["next_step"] and left(here) == 5
    done = rowsmith(*command, "--yes")
    assert done.code == 0 and "2 predictions" in done.out and left(here) == 3
    assert "Nothing here is about them" in rowsmith(*command, "--yes").out
    actions = [line["action"] for line in rowsmith("audit", "--project", here, "--json").json["lines"]]
    assert actions == ["erase.begin", "erase"]


def test_values_by_pipe_and_a_no(rowsmith: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("c-3\n"))
    done = rowsmith("erase", "-", "--column", "customer", "--project", here, "--yes", "--json")
    assert done.code == 0 and done.json["predictions"] == 1 and left(here) == 4
    monkeypatch.setattr("sys.stdin", io.StringIO("c-4\nn\n"))
    ended = rowsmith("erase", "--column", "customer", "--project", here)
    assert ended.code != 0 and "no way back" in ended.err and left(here) == 4


def test_no_column_says_where_to_name_it(rowsmith: Command, here: Path) -> None:
    ended = rowsmith("erase", here / "people.txt", "--project", here)
    assert ended.code == 2 and "subject_id" in ended.err
