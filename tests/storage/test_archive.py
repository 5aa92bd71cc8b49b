"""Archive: exact round trips, and every damaged or forged artifact refused with an ArtifactError."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rowsmith.errors import ArtifactError
from rowsmith.state import State
from rowsmith.storage import archive

STATE = State(
    "model",
    {"text": "Grüße \u2028", "float": 0.1 + 0.2, "none": None, "list": [1, 2.5, "x"], "odd": [math.inf, -math.inf]},
    arrays={"numbers": np.array([1.5, np.nan, -0.0]), "codes": np.arange(6).reshape(2, 3)},
    blobs={"booster": b"\x00\xffbinary"},
    children={
        "encoder": State("encoder", arrays={"levels": np.array(["a", "ß"])}),
        "member-0": State("member", {"n": 1}, blobs={"tree": b""}, children={"view": State("view")}),
    },
)

ARRAYS = f"arrays/{archive.ROOT}.npz"
BLOB = f"blobs/{archive.ROOT}/booster"
ENCODER = f"arrays/{archive.ROOT}/encoder.npz"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return archive.write(tmp_path / "model", STATE)


def sign(folder: Path) -> None:
    """Make the manifest agree with the files: what a forger does who knows the format."""
    files = {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": files}))


def assert_same(one: State, other: State) -> None:
    assert (one.kind, one.data, dict(one.blobs)) == (other.kind, other.data, dict(other.blobs))
    assert sorted(one.arrays) == sorted(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype and array.shape == other.arrays[name].shape
        assert array.tobytes() == other.arrays[name].tobytes()
    assert sorted(one.children) == sorted(other.children)
    for name, child in one.children.items():
        assert_same(child, other.children[name])


def test_a_state_comes_back_exactly(model: Path) -> None:
    assert_same(archive.read(model), STATE)


def test_the_same_state_gives_the_same_bytes(tmp_path: Path, model: Path) -> None:
    again = archive.write(tmp_path / "again", STATE)
    for path in model.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(model)).read_bytes(), path.name


def test_an_artifact_is_replaced_but_nothing_else_is(tmp_path: Path, model: Path) -> None:
    archive.write(model, State("other"))
    assert archive.read(model) == State("other")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ArtifactError, match="will not be overwritten"):
        archive.write(tmp_path / "home", STATE)
    assert os.listdir(tmp_path / "home") == ["letter.txt"]


@pytest.mark.parametrize("name", ["..", "a/b", "A", "", "a.b", "a\n"])
def test_names_that_could_be_paths_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="names in a State"):
        archive.write(tmp_path / "model", State("x", blobs={name: b""}))
    assert os.listdir(tmp_path) == []


def test_objects_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="numbers, booleans or text"):
        archive.write(tmp_path / "model", State("x", arrays={"a": np.array([{}], dtype=object)}))


def change_a_byte(folder: Path) -> None:
    path = folder / BLOB
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def cut_a_file(folder: Path) -> None:
    path = folder / ARRAYS
    path.write_bytes(path.read_bytes()[:-1])


def lose_a_file(folder: Path) -> None:
    (folder / ARRAYS).unlink()


def add_a_file(folder: Path) -> None:
    (folder / "extra.py").write_text("print('hello')")


def link_a_file(folder: Path) -> None:
    target = folder.parent / "outside"
    path = folder / BLOB
    path.rename(target)
    path.symlink_to(target)


def link_a_folder(folder: Path) -> None:
    (folder / "blobs").rename(folder.parent / "outside")
    (folder / "blobs").symlink_to(folder.parent / "outside")


def add_a_link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")


def edit_manifest(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        for key, value in changes.items():
            manifest[key] = value if key != "files" else manifest["files"] | value
        (folder / "manifest.json").write_text(json.dumps(manifest))

    edit.__name__ = f"manifest_{json.dumps(changes)[:40]}"
    return edit


def replace(name: str, content: bytes, *, signed: bool = False) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if signed:
            sign(folder)

    edit.__name__ = f"{name}_{content[:12]!r}"
    return edit


def tree_with(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tree = json.loads((folder / "state.json").read_text())
        (folder / "state.json").write_text(json.dumps(tree | changes))
        sign(folder)

    edit.__name__ = f"tree_{json.dumps(changes)[:40]}"
    return edit


def npz(member: bytes, *, name: str = "numbers.npy", compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr(name, member)
        file.writestr("codes.npy", npy(np.zeros(1)))
    return buffer.getvalue()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("trap-was-sprung",))


def header(shape: tuple[int, ...]) -> bytes:
    """An array file that promises a shape and holds nothing."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


NESTED = b"[" * 200_000
TRAP = npy(np.array([Trap()], dtype=object))
DAMAGES: tuple[Callable[[Path], None], ...] = (
    change_a_byte,
    cut_a_file,
    lose_a_file,
    add_a_file,
    link_a_file,
    link_a_folder,
    add_a_link,
    edit_manifest(format=2),
    edit_manifest(format=None),
    edit_manifest(format="1"),
    edit_manifest(files={"../outside": {"sha256": "", "bytes": 0}}),
    edit_manifest(files={"/etc/hostname": {"sha256": "", "bytes": 0}}),
    edit_manifest(files={"nul\0": {"sha256": "", "bytes": 0}}),
    edit_manifest(files={"": {"sha256": "", "bytes": 0}}),
    edit_manifest(files={"state.json": None}),
    edit_manifest(files={"state.json": {}}),
    replace("manifest.json", b""),
    replace("manifest.json", b"null"),
    replace("manifest.json", b'{"format": 1}'),
    replace("manifest.json", b"\xff\xfe"),
    replace("manifest.json", NESTED),
    replace("state.json", b"{", signed=True),
    replace("state.json", b"null", signed=True),
    replace("state.json", NESTED, signed=True),
    replace("state.json", b"\xff", signed=True),
    tree_with(kind=1),
    tree_with(data=[]),
    tree_with(arrays=["../../secret"]),
    tree_with(arrays=["unknown"]),
    tree_with(arrays=[1]),
    tree_with(blobs=["missing"]),
    tree_with(blobs=["../booster"]),
    tree_with(children=["encoder"]),
    tree_with(children={"encoder": None}),
    tree_with(children={"..": {"kind": "x", "data": {}}}),
    tree_with(children={"ghost": {"kind": "x", "data": {}, "arrays": ["a"]}}),
    replace(ARRAYS, b"not a zip", signed=True),
    replace(ARRAYS, npz(TRAP), signed=True),
    replace(ARRAYS, pickle.dumps(Trap()), signed=True),
    replace(ARRAYS, npz(TRAP, name="numbers"), signed=True),
    replace(ARRAYS, npz(header((1 << 50,))), signed=True),
    replace(ARRAYS, npz(header((1 << 70,))), signed=True),
    replace(ARRAYS, npz(header((10,))), signed=True),
    replace(ARRAYS, npz(b"\x93NUMPY\x09\x09"), signed=True),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=[f"{i}-{damage.__name__[:24]}" for i, damage in enumerate(DAMAGES)])
def test_a_damaged_artifact_is_refused(
    model: Path, damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(model)
    with pytest.raises(ArtifactError):
        archive.read(model)
    assert not (tmp_path / "trap-was-sprung").exists()


def test_arrays_that_unpack_to_more_than_is_allowed_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = npz(npy(np.zeros(1_000_000)))
    assert len(bomb) < 100_000
    replace(ARRAYS, bomb, signed=True)(model)
    archive.read(model)
    monkeypatch.setattr(archive, "MAX_ARRAY_BYTES", 1_000_000)
    with pytest.raises(ArtifactError, match="more than the 1000000 that are allowed"):
        archive.read(model)


def test_messages_name_the_file_and_the_way_out(model: Path) -> None:
    change_a_byte(model)
    with pytest.raises(ArtifactError, match=r"booster: .*changed after it was written.*Restore it"):
        archive.read(model)


def test_an_unknown_format_names_its_writer(model: Path) -> None:
    edit_manifest(format=7, written_by="rowsmith 9.0")(model)
    with pytest.raises(ArtifactError, match=r"format 7.*Allowed: format 1.*rowsmith 9\.0"):
        archive.read(model)


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_folder_without_a_model(tmp_path: Path, place: str) -> None:
    with pytest.raises(ArtifactError, match="no saved model here"):
        archive.read(tmp_path / place)


def test_the_data_of_the_root_can_be_read_alone(model: Path) -> None:
    assert archive.read_data(model) == archive.read(model).data


@pytest.mark.parametrize("content", ["[", "[]", "{}"])
def test_damaged_data_of_the_root(model: Path, content: str) -> None:
    (model / "state.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match="damaged"):
        archive.read_data(model)


@pytest.mark.parametrize("name", ["state.json", ARRAYS, BLOB, ENCODER])
def test_forged_bytes_are_read_or_refused_but_never_crash(model: Path, name: str) -> None:
    dice = random.Random(0)
    original = (model / name).read_bytes()
    for _ in range(150):
        content = bytearray(original)
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        (model / name).write_bytes(content)
        sign(model)
        try:
            archive.read(model)
        except ArtifactError:
            continue
