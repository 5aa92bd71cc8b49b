"""Verification: rebuild a version from its snapshot and its journal, and compare it bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rowsmith.errors import NotFoundError
from rowsmith.ingestion.split import seal
from rowsmith.registry.provenance import gather
from rowsmith.registry.versions import Version
from rowsmith.storage import archive
from rowsmith.training import Journal, replay
from rowsmith.types import JsonObject, OnProgress, Progress, no_progress
from rowsmith.workflows.artifact import load
from rowsmith.workflows.project import Project
from rowsmith.workflows.run import JOURNAL_FILE
from rowsmith.workflows.scratch import scratch
from rowsmith.workflows.train import (
    compose,
    encode_training_rows,
    labelled_rows,
    metric_of,
    test_score,
    threshold_metric_of,
)
from rowsmith.workflows.training_rows import rows_of


@dataclass(frozen=True)
class Verification:
    """Whether a rebuild gave the same bytes. `differences` names files; `environment` what changed since then."""

    version: Version
    identical: bool
    differences: tuple[str, ...]
    environment: tuple[str, ...]


def verify(project: Project, ref: str | int = "champion", *, on_progress: OnProgress = no_progress) -> Verification:
    """Rebuild a version. Raises NotFoundError where its snapshot or journal is gone, TrainingError."""
    version = project.version(ref)
    folder = project.registry.folder(version)
    original = load(folder / "model")
    journal_path = folder / JOURNAL_FILE
    if not journal_path.exists():
        raise NotFoundError("this version has no journal, so it cannot be rebuilt", where=str(folder))
    frame = rows_of(project, version)
    on_progress(Progress("rebuild", f"{version.name} {version.number} from snapshot {version.snapshot_id[:12]}"))
    schema, recipe = original.schema, original.recipe
    frame, target = labelled_rows(frame, schema)
    split = seal(frame, schema, recipe)
    data, encoder = encode_training_rows(frame, target, split.train, schema, recipe)
    metric = metric_of(schema, recipe)
    journal = Journal.from_text(journal_path.read_text(encoding="utf-8"))
    result = replay(
        data,
        journal,
        metric,
        recipe.train,
        on_progress=on_progress,
        threshold_metric=threshold_metric_of(schema, recipe),
    )
    rebuilt = compose(result, encoder, schema, recipe, metric, len(split.train))
    if len(split.test):
        rebuilt.facts["test"] = test_score(rebuilt, frame[split.test], target[split.test], metric)
    with scratch() as temporary:
        rebuilt.save(temporary / "model")
        differences = _differences(folder / "model", temporary / "model")
    return Verification(version, not differences, differences, _changed_environment(version.lineage, project))


def _differences(one: Path, other: Path) -> tuple[str, ...]:
    """Names of artifact files whose bytes differ, or that only one side has."""
    ours, theirs = archive.read_manifest(one)["files"], archive.read_manifest(other)["files"]
    return tuple(sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)))


def _changed_environment(lineage: JsonObject, project: Project) -> tuple[str, ...]:
    """What is not as it was when the version was trained, in words."""
    now = gather(seed=lineage.get("seed", 0), project=project.root)
    then_packages, now_packages = lineage.get("packages", {}), now.get("packages", {})
    changed = [
        f"{name}: {then_packages.get(name, 'absent')} then, {now_packages.get(name, 'absent')} now"
        for name in sorted(then_packages.keys() | now_packages.keys())
        if then_packages.get(name) != now_packages.get(name)
    ]
    return tuple(
        [
            f"{key}: {lineage.get(key)} then, {now.get(key)} now"
            for key in ("python", "machine")
            if lineage.get(key) != now.get(key)
        ]
        + changed
    )
