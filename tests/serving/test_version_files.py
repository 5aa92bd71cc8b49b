"""The server's names of files are those that a run writes."""

from __future__ import annotations

from pathlib import Path

from rowsmith.serving import version_files
from rowsmith.workflows import run


def test_names_agree_with_the_writer() -> None:
    names = [name for name in vars(version_files) if name.endswith("_FILE")]
    assert len(names) == 4
    for name in names:
        assert getattr(version_files, name) == getattr(run, name)


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert version_files.evaluation_of(tmp_path) == {}
    assert version_files.ranked_columns(tmp_path) == []


def test_a_file_that_is_no_object_is_empty(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1]", encoding="utf-8")
    assert version_files.read_json(tmp_path / "x.json") == {}
