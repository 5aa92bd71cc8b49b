"""Archive: a State tree on disk and back. No pickle; reading builds an inert tree and runs nothing.

A folder of format 1:

    manifest.json       {"format": 1, "written_by": "rowsmith 0.1.0", "files": {path: {"sha256", "bytes"}}}
    state.json          the tree: kind, data, and the names of arrays and blobs
    arrays/<path>.npz   the arrays of one node
    blobs/<path>/<name> a library's own binary format

Same state, same bytes.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rowsmith.errors import ArtifactError, StorageError
from rowsmith.state import State
from rowsmith.storage.files import folder_in_one_step, inside, sha256_of_file
from rowsmith.types import Array, JsonObject
from rowsmith.version import __version__

FORMAT = 1
MANIFEST = "manifest.json"
TREE = "state.json"
ROOT = "model"
NAME = re.compile(r"[a-z0-9_-]+")
ARRAY_KINDS = frozenset("biufUS")
# What the arrays of one node may unpack to. Deflate shrinks a thousandfold, so a small file could fill the memory.
MAX_ARRAY_BYTES = 4 << 30
DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    OverflowError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    StorageError,
)
"""What the parsers of JSON and npz raise on files that somebody damaged or forged."""


def write(folder: Path, state: State) -> Path:
    """Write the tree; an existing artifact in `folder` is replaced in one step. Raises StorageError."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise ArtifactError(
            "this folder holds something else and will not be overwritten",
            where=str(folder),
            next_step="choose another folder",
        )
    with folder_in_one_step(folder) as temporary:
        tree = _write_node(temporary, state, (ROOT,))
        (temporary / TREE).write_text(json.dumps(tree, ensure_ascii=False, sort_keys=True, indent=1), encoding="utf-8")
        paths = sorted(path for path in temporary.rglob("*") if path.is_file())
        files = {
            path.relative_to(temporary).as_posix(): {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
            for path in paths
        }
        manifest = {"format": FORMAT, "written_by": f"rowsmith {__version__}", "files": files}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    return folder


def read(folder: Path) -> State:
    """The tree of an artifact folder, every hash checked. Raises ArtifactError and names the file at fault."""
    manifest = read_manifest(folder)
    try:
        _check_files(folder, manifest)
        tree = json.loads((folder / TREE).read_text(encoding="utf-8"))
        return _read_node(folder, tree, (ROOT,))
    except DAMAGE as problem:
        raise ArtifactError(f"this model is damaged and was not loaded: {problem}", where=str(folder)) from problem


def read_manifest(folder: Path) -> JsonObject:
    """The manifest alone. Raises ArtifactError for a folder that is no artifact, or of another format."""
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ArtifactError(
            "there is no saved model here", where=str(folder), next_step=f"a saved model has a {MANIFEST}"
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise ArtifactError(f"the manifest is damaged: {problem}", where=str(path)) from problem
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError("the manifest is not one of a Rowsmith model", where=str(path))
    if manifest.get("format") != FORMAT:
        raise ArtifactError(
            "this model has a format that this release does not know",
            where=str(path),
            received=f"format {manifest.get('format')!r}",
            allowed=f"format {FORMAT}",
            next_step=f"load it with the release that wrote it, {manifest.get('written_by', 'an unknown program')}",
        )
    return manifest


def read_data(folder: Path) -> JsonObject:
    """The plain data of the root alone, without a look at any hash. Raises ArtifactError."""
    read_manifest(folder)
    try:
        data: JsonObject = json.loads((folder / TREE).read_text(encoding="utf-8"))["data"]
    except DAMAGE as problem:
        raise ArtifactError(f"this model is damaged: {problem!r}", where=str(folder)) from problem
    return data


def _check_files(folder: Path, manifest: JsonObject) -> None:
    listed: dict[str, Any] = manifest["files"]
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink()} - {MANIFEST}
    if strangers := sorted(found - set(listed)):
        raise ArtifactError(
            "this model holds files that its manifest does not list", where=str(folder), received=", ".join(strangers)
        )
    root = folder.resolve()
    for name, facts in listed.items():
        path = root.joinpath(name)
        # Never through a link or "..": what is read has to lie where its name says.
        if path != path.resolve() or not path.is_relative_to(root) or not path.is_file():
            raise ArtifactError("a file of this model is missing", where=str(folder), received=name)
        known = facts if isinstance(facts, dict) else {}
        if path.stat().st_size != known.get("bytes") or sha256_of_file(path) != known.get("sha256"):
            raise ArtifactError(
                "a file of this model was changed after it was written",
                where=str(path),
                next_step="restore it from the registry or a backup; it was not loaded",
            )


def _write_node(folder: Path, state: State, place: tuple[str, ...]) -> JsonObject:
    for name in (*state.arrays, *state.blobs, *state.children):
        if not NAME.fullmatch(name):
            raise ValueError(f"names in a State are lower-case letters, digits, _ and -, but got {name!r}")
    node: JsonObject = {"kind": state.kind, "data": state.data}
    if state.arrays:
        path = folder.joinpath("arrays", *place[:-1], f"{place[-1]}.npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, allow_pickle=False, **{name: _plain(array) for name, array in state.arrays.items()})
        node["arrays"] = sorted(state.arrays)
    if state.blobs:
        node["blobs"] = sorted(state.blobs)
    for name, blob in state.blobs.items():
        path = folder.joinpath("blobs", *place, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)
    if state.children:
        node["children"] = {name: _write_node(folder, child, (*place, name)) for name, child in state.children.items()}
    return node


def _plain(array: Array) -> Array:
    if array.dtype.kind not in ARRAY_KINDS:
        raise ValueError(f"arrays in a State hold numbers, booleans or text, but got {array.dtype}")
    return array


def _read_node(folder: Path, node: Any, place: tuple[str, ...]) -> State:
    kind, data = node["kind"], node["data"]
    names = [*node.get("arrays", []), *node.get("blobs", []), *node.get("children", {})]
    if not isinstance(kind, str) or not isinstance(data, dict) or not all(NAME.fullmatch(name) for name in names):
        raise ValueError(f"the node {'/'.join(place)} is not one that Rowsmith writes")
    arrays: dict[str, Array] = {}
    if node.get("arrays"):
        content = inside(folder, "arrays", *place[:-1], f"{place[-1]}.npz").read_bytes()
        _check_size(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: _plain(file[name]) for name in node["arrays"]}
    blobs = {name: inside(folder, "blobs", *place, name).read_bytes() for name in node.get("blobs", [])}
    children = {name: _read_node(folder, child, (*place, name)) for name, child in node.get("children", {}).items()}
    return State(kind, data, arrays, blobs, children)


def _check_size(npz: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(npz)) as file:
        unpacked = sum(entry.file_size for entry in file.infolist())
    if unpacked > MAX_ARRAY_BYTES:
        raise ValueError(f"its arrays would take {unpacked} bytes, more than the {MAX_ARRAY_BYTES} that are allowed")
