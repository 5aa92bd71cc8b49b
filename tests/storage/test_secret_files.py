"""Secrets an installation makes for itself."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rowsmith.errors import StorageError
from rowsmith.storage.secret_files import SECRET_BYTES, secret_file


def test_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "a.key"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret_file(path), range(64)))
    assert len(found) == 1 and len(found.pop()) == SECRET_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["a.key"]


def test_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    secret_file(path)
    path.chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        secret_file(path)


def test_a_damaged_one_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.touch(0o600)
    with pytest.raises(StorageError, match="damaged"):
        secret_file(path)
    assert path.read_bytes() == b""
