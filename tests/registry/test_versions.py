"""Registry: versions appear whole or not at all, and one of them is the champion."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rowsmith.errors import ArtifactError, ChampionChanged, NotFoundError, StorageError, UsageError
from rowsmith.registry.versions import Registry, Version
from rowsmith.state import State
from rowsmith.storage import archive
from rowsmith.storage.database import Database, open_database

LINEAGE = {"snapshot": "aaa", "recipe": "bbb", "seed": 3, "machine": {"cores": 2}, "note": "Grüße"}


def write(folder: Path) -> None:
    archive.write(folder / "model", State("model", {"written": time.time_ns()}))
    (folder / "card.md").write_text("# card")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "versions"


@pytest.fixture
def registry(database: Database, root: Path) -> Registry:
    return Registry(database, root, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def add(registry: Registry, name: str = "income", writer: Callable[[Path], None] = write) -> Version:
    return registry.add(name, writer, lineage=LINEAGE, metric="roc_auc", score=0.9)


def test_a_version_comes_back_as_it_was_added(registry: Registry, root: Path) -> None:
    version = add(registry)
    assert registry.get("income", 1) == version
    assert (version.name, version.number, version.metric, version.score) == ("income", 1, "roc_auc", 0.9)
    assert version.created == "2026-01-02T03:04:05+00:00"
    assert (version.snapshot_id, version.recipe_hash) == ("aaa", "bbb")
    assert version.lineage == LINEAGE
    folder = registry.folder(version)
    assert folder == root / "income" / "1"
    assert (folder / "card.md").read_text() == "# card"
    assert archive.read(folder / "model").kind == "model"


def test_versions_are_found(registry: Registry) -> None:
    assert (registry.names(), registry.list()) == ((), ())
    for name in ("b", "a", "b"):
        add(registry, name)
    assert registry.names() == ("a", "b")
    assert [(v.name, v.number) for v in registry.list()] == [("a", 1), ("b", 1), ("b", 2)]
    assert [v.number for v in registry.list("b")] == [1, 2]
    assert registry.list("c") == ()
    assert [registry.get("b", ref).number for ref in ("latest", 1, "2")] == [2, 1, 2]


def test_a_promotion_over_another_champion_than_reigns_is_refused(registry: Registry) -> None:
    first, second, third = add(registry), add(registry), add(registry)
    registry.promote("income", 1, reason="", actor="", over=None)
    with pytest.raises(ChampionChanged, match="version 1 became champion"):
        registry.promote("income", 2, reason="", actor="", over=None)
    registry.promote("income", 2, reason="", actor="", over=first)
    with pytest.raises(ChampionChanged):
        registry.promote("income", 3, reason="", actor="", over=first)
    registry.promote("income", 3, reason="", actor="", over=second)
    assert registry.champion("income") == third
    assert [entry.to_number for entry in registry.ledger("income")] == [1, 2, 3]


@pytest.mark.parametrize("score", [None, math.nan])
def test_a_version_may_have_no_score(registry: Registry, score: float | None) -> None:
    version = registry.add("m", write, lineage={}, metric="rmse", score=score)
    assert version == registry.get("m", 1)
    assert (version.score, version.snapshot_id) == (None, "")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a b", "a" * 65, "ä", "a\n", "a\0"])
def test_names_that_cannot_be_folders_are_refused(registry: Registry, root: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used for a model"):
        add(registry, name)
    assert not root.exists()


def test_what_does_not_exist_is_named_with_what_does(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match=r'no model called "income".*rowsmith run'):
        registry.get("income")
    add(registry)
    with pytest.raises(NotFoundError, match=r'no model called "price".*Allowed: income'):
        registry.get("price", "latest")
    with pytest.raises(NotFoundError, match=r"no champion yet.*Allowed: champion, latest, 1\. Promote"):
        registry.get("income")
    for ref in (2, 0, -1, "best", "1.0", "٣", "9" * 30, ""):
        with pytest.raises(NotFoundError, match="has no version"):
            registry.get("income", ref)


# -- whole or not at all -------------------------------------------------------------------------------------


def fails(folder: Path) -> None:
    write(folder)
    raise ZeroDivisionError


def writes_no_model(folder: Path) -> None:
    (folder / "card.md").write_text("")


def fills_the_disk(folder: Path) -> None:
    Path("/dev/full").write_text("x" * 100_000)


@pytest.mark.parametrize(
    ("writer", "error"),
    [(fails, ZeroDivisionError), (writes_no_model, ArtifactError), (fills_the_disk, StorageError)],
)
def test_a_writer_that_fails_leaves_nothing(
    registry: Registry, root: Path, writer: Callable[[Path], None], error: type[Exception]
) -> None:
    with pytest.raises(error):
        add(registry, writer=writer)
    assert registry.list() == ()
    assert os.listdir(root / "income") == []
    assert add(registry).number == 1


def test_lineage_that_is_no_json_leaves_nothing(registry: Registry, root: Path) -> None:
    with pytest.raises(TypeError):
        registry.add("income", write, lineage={"when": datetime.now(UTC)}, metric="m", score=0.0)
    assert not root.exists()


def _add_and_die(url: str, root: Path, moment: str) -> None:
    """End as `kill -9` would, before or after the folder is in its place."""

    def die(source: Path, target: Path) -> None:
        if moment == "after":
            os.replace(source, target)
        os.kill(os.getpid(), signal.SIGKILL)

    registry = Registry(open_database(url), root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", die)
        add(registry)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed_leaves_no_version(
    registry: Registry, database_url: str, root: Path, moment: str
) -> None:
    add(registry)
    process = multiprocessing.get_context("spawn").Process(target=_add_and_die, args=(database_url, root, moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [version.number for version in registry.list("income")] == [1]
    with pytest.raises(NotFoundError):
        registry.get("income", 2)
    # The number whose folder is there is not given again: it might be another database's version.
    version = add(registry)
    assert version.number == (2 if moment == "before" else 3)
    assert archive.read(registry.folder(version) / "model").kind == "model"


def test_what_a_killed_process_left_goes_after_a_day(registry: Registry, root: Path) -> None:
    old, young = root / "income" / ".incoming-old", root / "income" / ".incoming-young"
    for folder in (old, young):
        write(folder)
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    add(registry)
    assert sorted(os.listdir(root / "income")) == [".incoming-young", "1"]


def _add_three(url: str, root: Path) -> None:
    registry = Registry(open_database(url), root)
    for _ in range(3):
        add(registry)


def test_processes_and_threads_that_add_at_once_get_different_numbers(
    registry: Registry, database_url: str, root: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_three, args=(database_url, root)) for _ in range(2)]
    threads = [threading.Thread(target=add, args=(registry,)) for _ in range(6)]
    workers: list[threading.Thread | multiprocessing.process.BaseProcess] = [*processes, *threads]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert [version.number for version in registry.list("income")] == list(range(1, 13))
    for version in registry.list("income"):
        registry.folder(version)


# -- folders that were meddled with --------------------------------------------------------------------------


def test_a_folder_that_is_gone(registry: Registry, root: Path) -> None:
    version = add(registry)
    (root / "income" / "1").rename(root / "elsewhere")
    with pytest.raises(StorageError, match=r"files of income version 1 are missing.*backup"):
        registry.folder(version)
    with pytest.raises(StorageError):
        registry.promote("income", 1, reason="", actor="")
    assert registry.champion("income") is None


def test_a_model_that_was_exchanged(registry: Registry) -> None:
    version = add(registry)
    archive.write(registry.folder(version) / "model", State("another"))
    with pytest.raises(ArtifactError, match=r"not the one that was registered as income version 1"):
        registry.folder(version)
    with pytest.raises(ArtifactError):
        registry.promote("income", 1, reason="", actor="")


def test_versions_are_plain_data(registry: Registry) -> None:
    version = add(registry)
    with pytest.raises(AttributeError):
        version.score = 1.0  # type: ignore[misc]
    assert json.loads(json.dumps(version.lineage)) == LINEAGE
