"""Promotion and rollback: who is champion, decided by the gates and written into the ledger."""

from __future__ import annotations

import json

from rowsmith.errors import GateRefused
from rowsmith.evaluation.gates import GateReport, judge
from rowsmith.evaluation.score import Evaluation
from rowsmith.ingestion.split import seal
from rowsmith.registry.ledger import LedgerEntry
from rowsmith.registry.versions import Version
from rowsmith.types import Finding, JsonObject
from rowsmith.workflows.artifact import load
from rowsmith.workflows.challenge import Challenge, challenge
from rowsmith.workflows.project import Project
from rowsmith.workflows.run import DOCUMENT_FILE
from rowsmith.workflows.sign import require_trust
from rowsmith.workflows.tracking import follow
from rowsmith.workflows.train import labelled_rows, metric_of
from rowsmith.workflows.training_rows import rows_of


def promote(
    project: Project,
    ref: str | int = "latest",
    *,
    reason: str = "",
    actor: str = "rowsmith promote",
    force: bool = False,
) -> tuple[LedgerEntry, GateReport]:
    """Make a version champion when it passes the gates against today's champion.

    `force` promotes in spite of a refusal and says so in the ledger. Raises NotFoundError, GateRefused with every
    reason, and ChampionChanged where another was promoted while this one was judged.
    """
    version = project.version(ref)
    require_trust(project, version)
    gates, rival = judge_version(project, version)
    if not gates.passed and not force:
        refused = "; ".join(result.message.rstrip(".") for result in gates.results if not result.passed)
        raise GateRefused(
            refused,
            where=f"{version.name} version {version.number}",
            next_step='promote it all the same with: --force --reason "why"',
        )
    said = reason or ("passed the gates" if gates.passed else "forced, no reason given")
    entry = project.registry.promote(
        version.name,
        version.number,
        reason=said if gates.passed else f"against the gates: {said}",
        actor=actor,
        evidence=gates.to_dict(),
        over=rival.champion,
    )
    follow(project, version)
    return entry, gates


def rollback(
    project: Project, *, name: str | None = None, reason: str = "", actor: str = "rowsmith rollback"
) -> LedgerEntry:
    """Restore the champion before the present one, of the project's own model when `name` is None.

    Raises NotFoundError where none came before.
    """
    version = project.version("champion", name)
    entry = project.registry.rollback(version.name, reason=reason or "no reason given", actor=actor)
    follow(project, project.registry.get(entry.name, entry.to_number))
    return entry


def judge_version(project: Project, version: Version) -> tuple[GateReport, Challenge]:
    """The gates for a registered version against today's champion, on the rows that neither has learned."""
    folder = project.registry.folder(version)
    model = load(folder / "model")
    document: JsonObject = json.loads((folder / DOCUMENT_FILE).read_text(encoding="utf-8"))
    frame, target = labelled_rows(rows_of(project, version), model.schema)
    split = seal(frame, model.schema, model.recipe)
    rival = challenge(project, model, frame, target, split.test, metric_of(model.schema, model.recipe))
    evaluation = Evaluation.from_dict(document["evaluation"])
    findings = tuple(Finding.from_dict(item) for item in document["findings"])
    return judge(evaluation, findings, rival.comparison, model.recipe.gates), rival
