"""What was taken from elsewhere is what it says, and has its licence."""

from __future__ import annotations

import hashlib
import json

import pytest

from rowsmith.serving.pages.layout import STATIC

VENDOR = STATIC / "vendor"
RECORDS = json.loads((VENDOR / "VENDORED.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_files_have_the_recorded_hashes_and_a_licence(record: dict[str, object]) -> None:
    files = record["files"]
    assert isinstance(files, dict)
    for path, expected in files.items():
        assert hashlib.sha256((VENDOR / path).read_bytes()).hexdigest() == expected, path
    assert any(path.endswith("LICENSE.txt") for path in files)
    assert str(record["version"]) in str(record["source"])


def test_nothing_else_lies_there() -> None:
    found = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert found == {"VENDORED.json"} | {path for record in RECORDS for path in record["files"]}


def test_static_files_of_our_own_ask_nobody_else() -> None:
    for path in STATIC.glob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert "http://" not in text and "https://" not in text, path
