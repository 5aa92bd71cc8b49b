"""Ingestion: from a source to a snapshot, its schema and what looks odd.

A snapshot may be larger than memory: it is gone through in batches, and only a part of a large one is held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowsmith.conform import Conformer
from rowsmith.errors import ChecksFailed, NotFoundError, RecipeError, SchemaError
from rowsmith.ingestion.checks import CHECKS, run_checks
from rowsmith.ingestion.expectations import require
from rowsmith.ingestion.schema_file import read_schema, write_schema
from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.ingestion.table import Held, Table
from rowsmith.ingestion.whole_facts import infer_table
from rowsmith.recipe import Recipe
from rowsmith.schema import Schema
from rowsmith.storage.files import writing_to
from rowsmith.types import Finding, OnProgress, Progress, Severity, no_progress
from rowsmith.workflows.plugins import Plugins, load_plugins
from rowsmith.workflows.project import Project
from rowsmith.workflows.reading import take_snapshot

PREVIOUS_SCHEMA_FILE = "schema.previous.toml"


@dataclass(frozen=True)
class Ingested:
    """What came in: the snapshot, its rows with the project's own features, those of them that are held (all of a small
    table), the schema and the findings."""

    snapshot: Snapshot
    table: Table
    held: Held
    schema: Schema
    findings: tuple[Finding, ...]
    plugins: Plugins


def ingest(
    project: Project, source: Any = None, *, append_to: str | None = None, on_progress: OnProgress = no_progress
) -> Ingested:
    """Read a source (the recipe's when None) into a snapshot, settle its schema and check it.

    The schema is written to `schema.toml`, where a person can read and edit it. Raises SourceError, SchemaError,
    RecipeError; findings of any severity are returned.
    """
    snapshot = take_snapshot(project, source, append_to=append_to, on_progress=on_progress)
    return examine(project, snapshot, on_progress=on_progress)


def examine(project: Project, snapshot: Snapshot, *, on_progress: OnProgress = no_progress) -> Ingested:
    """The schema and findings of a snapshot."""
    on_progress(Progress("check", f"{snapshot.rows:,} rows: schema and checks"))
    plugins = load_plugins(project.root)
    table = plugins.over(Table.of_snapshot(project.snapshots, snapshot))
    with _naming(snapshot.source):
        schema, held = settle_schema(project, table)
        whole = None if held.is_whole else table
        require(whole or Table.of_frame(held.frame), project.recipe.expect, schema, now=project.now())
    _require_known_checks(project.recipe, plugins)
    findings = run_checks(held.frame, schema, project.recipe, table=whole)
    return Ingested(snapshot, table, held, schema, (*findings, *plugins.run_checks(held.frame)), plugins)


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Faults of rows inside the block say which table they are in."""
    try:
        yield
    except SchemaError as problem:
        where = f"{source} {problem.where}".strip()
        raise SchemaError(problem.faults, where=where, next_step=problem.next_step) from problem


def _require_known_checks(recipe: Recipe, plugins: Plugins) -> None:
    """Codes of the project's own checks are known only once they find something, so they are left alone."""
    known = [check.code for check in CHECKS]
    unknown = [code for code in recipe.checks.ignore if code not in known]
    if unknown and not plugins.checks:
        raise RecipeError(f'there is no check "{unknown[0]}"', where="checks.ignore", allowed=", ".join(sorted(known)))


def find_snapshot(project: Project, ref: str | None) -> Snapshot:
    """A snapshot by id or its beginning; the newest when None. Raises NotFoundError."""
    if ref is not None:
        return project.snapshots.get(ref)
    snapshots = project.snapshots.list()
    if not snapshots:
        raise NotFoundError(
            "there is no snapshot yet", where=str(project.root), next_step="read one in with: rowsmith ingest DATA"
        )
    return max(snapshots, key=lambda snapshot: snapshot.created)


def settle_schema(project: Project, table: Table) -> tuple[Schema, Held]:
    """The schema to train with, and the rows that it was found in: inferred, and bent to what `schema.toml` says where
    that is about the same table.

    The file's kinds, parsing, roles and policies are the user's word; a table that breaks them is refused here, before
    any training. Facts (levels, ranges) are taken afresh from the rows, and the file is brought up to date. A file
    about another table (another target, or fewer than half of its columns there) is kept as `schema.previous.toml`.
    """
    path = project.schema_path
    written = read_schema(path) if path.exists() else None
    if written is not None and not _is_about(written, table.columns, project.recipe):
        with writing_to(path):
            path.replace(path.with_name(PREVIOUS_SCHEMA_FILE))
        written = None
    if written is not None:
        _require_fit(written, table, path)
    schema, held = infer_table(table, project.recipe, written)
    write_schema(schema, path)
    return schema, held


def _require_fit(written: Schema, table: Table, path: Path) -> None:
    conformer = Conformer(written)
    try:
        for start, batch in table.batches():
            conformer.frame(batch, first_row=start)
    except SchemaError as problem:
        raise SchemaError(
            problem.faults,
            where=f"against {path.name}",
            next_step=f"mend the rows, or edit {path} (remove it to have the schema inferred anew from these rows)",
        ) from problem


def stop_on_errors(findings: tuple[Finding, ...], recipe: Recipe) -> None:
    """Raise ChecksFailed when a check found an error that the recipe does not accept."""
    errors = [f for f in findings if f.severity is Severity.ERROR and f.code not in recipe.checks.ignore]
    if errors:
        raise ChecksFailed(
            "; ".join(f"{finding.title}: {finding.message}".rstrip(".") for finding in errors),
            next_step=" ".join(finding.advice for finding in errors)
            + f" To accept it, add to rowsmith.toml: [checks] ignore = [{', '.join(repr(f.code) for f in errors)}]",
        )


def _is_about(written: Schema, columns: Collection[str], recipe: Recipe) -> bool:
    """Whether a schema file describes this table: the same target, and at least half of its other columns."""
    target = written.target
    if (target.name if target else None) != recipe.target.column:
        return False
    others = {name for name in written.names if name != recipe.target.column}
    return 2 * len(others & set(columns)) >= len(others)
