"""Files: all or nothing, and never outside their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rowsmith.errors import StorageError
from rowsmith.storage.files import (
    flush_folder,
    folder_in_one_step,
    inside,
    sha256_of_file,
    write_atomically,
)


def test_sha256_of_file(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # NIST's example for SHA-256.
    assert sha256_of_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("parts", [("..",), ("a", "..", "..", "b"), ("/etc/passwd",), ("a", "/etc"), ("link", "x")])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, parts: tuple[str, ...]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="leads out of its folder"):
        inside(root, *parts)


@pytest.mark.parametrize("parts", [(), ("a",), ("a", "..", "b"), ("..a",), ("a", "b", "c")])
def test_a_path_inside_is_given(tmp_path: Path, parts: tuple[str, ...]) -> None:
    assert inside(tmp_path, *parts) == tmp_path.joinpath(*parts).resolve()


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root-2").mkdir()
    with pytest.raises(StorageError):
        inside(tmp_path / "root", "..", "root-2")


@pytest.mark.parametrize("content", [b"\x00\xff", "Grüße", "", b""])
def test_write_atomically_replaces(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"old")
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_written_files_are_as_open_as_the_umask_says(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "child").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot write"):
        write_atomically(tmp_path / "folder", "a file cannot replace a folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_file_in_the_way_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Not a directory|File exists"):
        write_atomically(tmp_path / "file" / "child", "x")
    with pytest.raises(StorageError, match=r"Not a directory|File exists"), folder_in_one_step(tmp_path / "file" / "x"):
        pass


def test_a_folder_appears_in_one_step(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "final"
    with folder_in_one_step(final) as temporary:
        (temporary / "a").write_text("1")
        assert not final.exists()
    assert (final / "a").read_text() == "1"
    assert os.listdir(final.parent) == ["final"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    final = tmp_path / "final"
    for name in ("old", "new"):
        with folder_in_one_step(final) as temporary:
            (temporary / name).write_text(name)
    assert os.listdir(final) == ["new"]
    assert os.listdir(tmp_path) == ["final"]


@pytest.mark.parametrize("problem", [ValueError("no"), KeyboardInterrupt()])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path, problem: BaseException) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").write_text("old")
    with pytest.raises(type(problem)), folder_in_one_step(final) as temporary:
        (temporary / "new").write_text("new")
        raise problem
    assert os.listdir(final) == ["old"]
    assert os.listdir(tmp_path) == ["final"]


def test_a_full_disk_inside_the_block_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left"), folder_in_one_step(tmp_path / "final"):
        Path("/dev/full").write_text("x" * 100_000)
    assert os.listdir(tmp_path) == []


def test_flush_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")
    flush_folder(tmp_path)
    with pytest.raises(StorageError, match="No such file"):
        flush_folder(tmp_path / "nowhere")
