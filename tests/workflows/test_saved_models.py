"""Models that every older format saved are loaded and answer as they did, for ever. See tests/assets/make.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import rowsmith
from rowsmith.conform import frame_of_rows
from rowsmith.errors import ArtifactError
from rowsmith.storage.archive import FORMAT
from rowsmith.workflows.artifact import RESTORERS

ASSETS = Path(__file__).parent.parent / "assets"
FOLDERS = sorted(path.parent for path in ASSETS.glob("format_*/*/model"))


def test_there_are_models_of_every_format() -> None:
    formats = {folder.parent.name for folder in FOLDERS}
    assert formats == {f"format_{number}" for number in range(1, FORMAT + 1)}


def test_every_kind_of_part_is_in_one_of_them() -> None:
    kinds: set[str] = set()
    for folder in FOLDERS:
        nodes = [json.loads((folder / "model" / "state.json").read_text(encoding="utf-8"))]
        while nodes:
            node = nodes.pop()
            kinds.add(node["kind"])
            nodes.extend(node.get("children", {}).values())
    # What stands in where a fold lacks a class, or where nothing can be learned.
    assert set(RESTORERS) - kinds <= {"constant", "some_classes"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_it_answers_as_it_did(folder: Path) -> None:
    model = rowsmith.load(folder / "model")
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    given = model.predict_frame(frame_of_rows(rows)).to_dicts()
    for was, now in zip(answers, given, strict=True):
        assert was.keys() == now.keys()
        for name in was:
            # The exponential function differs in its last bit between C libraries; the trees and sums do not.
            assert now[name] == (pytest.approx(was[name], rel=1e-12) if isinstance(was[name], float) else was[name])
    for row, now in zip(rows, given, strict=True):
        assert model.predict_row(row).value == now["prediction"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_no_file_of_it_is_a_pickle(folder: Path) -> None:
    suffixes = {path.suffix for path in (folder / "model").rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".joblib", ".pt"}
    for path in (folder / "model").rglob("*.npz"):
        assert b"numpy.core.multiarray" not in path.read_bytes()


def test_a_changed_byte_is_refused_by_name(tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(FOLDERS[0] / "model", copy)
    state = copy / "state.json"
    state.write_bytes(state.read_bytes().replace(b"size", b"sice", 1))
    with pytest.raises(ArtifactError, match=r"state\.json"):
        rowsmith.load(copy)
