"""The whole way: source, snapshot, schema, checks, training, the sealed test, report, version, gates, champion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rowsmith.errors import ChampionChanged, RecipeError
from rowsmith.evaluation.gates import GateReport, judge
from rowsmith.evaluation.metrics import metrics_for
from rowsmith.evaluation.report import render_report
from rowsmith.evaluation.score import Evaluation, evaluate
from rowsmith.ingestion.snapshot import Snapshot
from rowsmith.ingestion.table import Table
from rowsmith.ingestion.whole_facts import infer_table
from rowsmith.model import TrainedModel
from rowsmith.monitoring.reference import Reference, build_reference
from rowsmith.recipe import Recipe
from rowsmith.registry.card import model_card
from rowsmith.registry.provenance import gather
from rowsmith.registry.versions import Version
from rowsmith.training import fit_baselines
from rowsmith.types import Finding, JsonObject, Metric, OnProgress, Progress, Scores2D, no_progress
from rowsmith.workflows.challenge import Challenge, challenge, remember_learned
from rowsmith.workflows.deploy import OWN_CODE
from rowsmith.workflows.ingest import Ingested, examine, stop_on_errors
from rowsmith.workflows.inputs import keep_inputs
from rowsmith.workflows.project import Project
from rowsmith.workflows.reading import take_snapshot
from rowsmith.workflows.tracking import follow
from rowsmith.workflows.train import Fitted, deadline_of, fit, metric_of
from rowsmith.workflows.training_rows import SAMPLE, TrainingRows, training_rows

REPORT_FILE = "report.html"
CARD_FILE = "card.md"
EVALUATION_FILE = "evaluation.json"
REFERENCE_FILE = "reference.json"
PROVENANCE_FILE = "provenance.json"
JOURNAL_FILE = "journal.jsonl"
DOCUMENT_FILE = "document.json"
# Rows of which the monitoring keeps a sketch, and the evaluation a picture.
MAX_REFERENCE_ROWS = 100_000


@dataclass(frozen=True)
class Outcome:
    """What a run ended with. `document` is the report as plain data."""

    version: Version
    folder: Path
    promoted: bool
    gates: GateReport
    challenge: Challenge
    evaluation: Evaluation
    findings: tuple[Finding, ...]
    snapshot: Snapshot
    leaderboard: tuple[Any, ...]
    document: JsonObject


def run(
    project: Project,
    source: Any = None,
    *,
    actor: str = "rowsmith run",
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> Outcome:
    """From a source (the recipe's when None) to a version that is champion if the gates let it.

    A refusal is an outcome, not an error: see `Outcome.promoted` and `Outcome.gates`. Raises SourceError,
    SchemaError, ChecksFailed, RecipeError, TrainingError, StorageError; nothing is registered then.
    """
    _require_target(project.recipe)
    snapshot = take_snapshot(project, source, on_progress=on_progress)
    return train_version(project, snapshot, actor=actor, executor=executor, on_progress=on_progress)


def train_version(
    project: Project,
    snapshot: Snapshot,
    *,
    actor: str = "rowsmith train",
    promote: bool = True,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> Outcome:
    """From a snapshot to a registered version, promoted when `promote` is set and the gates pass."""
    _require_target(project.recipe)
    project.snapshots.claim(snapshot)
    ingested = examine(project, snapshot, on_progress=on_progress)
    stop_on_errors(ingested.findings, project.recipe)
    rows = training_rows(ingested.table, ingested.held, project.recipe)
    for finding in rows.findings:
        on_progress(Progress("check", finding.message))
    ingested = replace(ingested, findings=(*ingested.findings, *rows.findings))
    begin = time.monotonic()
    deadline = deadline_of(project.recipe.train, begin)
    fitted = fit(
        rows.frame,
        ingested.schema,
        project.recipe,
        deadline=deadline,
        root=project.root,
        executor=executor,
        on_progress=on_progress,
    )
    seconds = time.monotonic() - begin
    lineage = _lineage(project, ingested, fitted, rows, seconds)
    return _conclude(project, ingested, fitted, lineage, actor, promote, on_progress)


def _require_target(recipe: Recipe) -> None:
    if recipe.target.column is None:
        raise RecipeError(
            "no target column is named", next_step="name one with --target COLUMN, or under [target] in rowsmith.toml"
        )


def _conclude(
    project: Project,
    ingested: Ingested,
    fitted: Fitted,
    lineage: JsonObject,
    actor: str,
    promote: bool,
    on_progress: OnProgress,
) -> Outcome:
    """Judge on the sealed rows, register, and promote through the gates."""
    metric = metric_of(fitted.model.schema, project.recipe)
    on_progress(Progress("evaluate", f"the sealed test: {len(fitted.split.test):,} rows"))
    evaluation = _evaluate(fitted, metric, on_progress)
    rival, gates = _face_champion(project, ingested, fitted, evaluation, metric)
    document = _document(ingested, fitted, evaluation, gates, rival, lineage)
    on_progress(Progress("register", "writing the version and its report"))
    version = project.registry.add(
        project.recipe.name,
        _writer(project, ingested, fitted, evaluation, lineage, document),
        lineage=lineage,
        metric=metric.name,
        score=evaluation.score_of(metric.name),
    )
    promoted = False
    while promote and gates.passed and not promoted:
        reason, evidence = _reason(gates, rival, lineage), gates.to_dict()
        try:
            project.registry.promote(
                version.name, version.number, reason=reason, actor=actor, evidence=evidence, over=rival.champion
            )
            promoted = True
        except ChampionChanged:
            # Another run was quicker: its version is the one to be measured against.
            rival, gates = _face_champion(project, ingested, fitted, evaluation, metric)
    follow(project, version)
    return Outcome(
        version=project.registry.get(version.name, version.number),
        folder=project.registry.folder(version),
        promoted=promoted,
        gates=gates,
        challenge=rival,
        evaluation=evaluation,
        findings=ingested.findings,
        snapshot=ingested.snapshot,
        leaderboard=fitted.result.leaderboard,
        document=document,
    )


def _face_champion(
    project: Project, ingested: Ingested, fitted: Fitted, evaluation: Evaluation, metric: Metric
) -> tuple[Challenge, GateReport]:
    """The gates against whoever reigns now."""
    rival = challenge(project, fitted.model, fitted.frame, fitted.target, fitted.split.test, metric)
    return rival, judge(evaluation, ingested.findings, rival.comparison, project.recipe.gates)


def _evaluate(fitted: Fitted, metric: Metric, on_progress: OnProgress) -> Evaluation:
    test = fitted.split.test
    frame, target = fitted.frame[test], fitted.target[test]
    matrix = fitted.model.encode(frame)
    baselines: dict[str, Scores2D] = {
        name: learner.predict(matrix) for name, learner in fit_baselines(fitted.data).items()
    }
    weights = fitted.weights
    return evaluate(
        fitted.model,
        frame,
        target,
        metric,
        baselines=baselines,
        weights=None if weights is None else weights[test],
        seed=fitted.model.recipe.train.seed,
        on_progress=on_progress,
    )


def _lineage(project: Project, ingested: Ingested, fitted: Fitted, rows: TrainingRows, seconds: float) -> JsonObject:
    return {
        "snapshot": ingested.snapshot.id,
        "source": ingested.snapshot.source,
        "recipe": project.recipe.hash,
        "seed": project.recipe.train.seed,
        "rows_trained": len(fitted.split.train),
        "rows_tested": len(fitted.split.test),
        **({SAMPLE: rows.sample} if rows.sample else {}),
        "train_seconds": round(seconds, 3),
        OWN_CODE: ingested.plugins.hash,
        **gather(seed=project.recipe.train.seed, project=project.root, source_date_epoch=project.source_date_epoch),
    }


def _document(
    ingested: Ingested,
    fitted: Fitted,
    evaluation: Evaluation,
    gates: GateReport,
    rival: Challenge,
    lineage: JsonObject,
) -> JsonObject:
    """The report as plain data; the page, the file and the card render it."""
    model = fitted.model
    target = model.schema.target
    champion = rival.champion
    return {
        "title": f"{model.recipe.name}: {target.name if target else ''}",
        "name": model.recipe.name,
        "task": model.task.value,
        "metric": model.facts["metric"],
        "cross_validation": model.facts["cross_validation"],
        "answering": _price(model),
        "recipe": model.recipe.to_dict(),
        "schema": model.schema.to_dict(),
        "findings": [finding.to_dict() for finding in ingested.findings],
        "evaluation": evaluation.to_dict(),
        "leaderboard": [trial.to_dict() for trial in fitted.result.leaderboard],
        "gates": gates.to_dict(),
        "champion": {
            "before": f"{champion.name} {champion.number}" if champion else None,
            "reason": rival.reason,
            "comparison": rival.comparison.to_dict() if rival.comparison else None,
        },
        "lineage": lineage,
    }


def _price(model: TrainedModel) -> JsonObject:
    """What the model and its single learner cost a row, and how good they are out of fold."""
    keys = ("cross_validation", "row_us")
    single = model.single
    return {
        **{key: model.facts[key] for key in keys},
        "learners": len(model.members),
        "single": None if single is None else {key: single.facts[key] for key in keys},
    }


def _writer(
    project: Project,
    ingested: Ingested,
    fitted: Fitted,
    evaluation: Evaluation,
    lineage: JsonObject,
    document: JsonObject,
) -> Callable[[Path], None]:
    """What fills a version's folder."""
    model = fitted.model

    def write(folder: Path) -> None:
        model.save(folder / "model")
        reference = _reference(fitted)
        _write_json(folder / EVALUATION_FILE, evaluation.to_dict())
        _write_json(folder / REFERENCE_FILE, reference.to_dict())
        _write_json(folder / PROVENANCE_FILE, lineage)
        _write_json(folder / DOCUMENT_FILE, document)
        (folder / REPORT_FILE).write_text(render_report(document), encoding="utf-8")
        (folder / CARD_FILE).write_text(model_card(document), encoding="utf-8")
        (folder / JOURNAL_FILE).write_text(fitted.result.journal.to_text(), encoding="utf-8")
        remember_learned(folder, fitted.frame[fitted.split.train])
        ingested.plugins.keep(folder)
        if ingested.plugins.add_features is not None:
            schema, held = infer_table(Table.of_snapshot(project.snapshots, ingested.snapshot), model.recipe)
            keep_inputs(folder, held.frame, schema)

    return write


def _reference(fitted: Fitted) -> Reference:
    """What later rows are compared with: the sealed test part, or the training rows where nothing was sealed."""
    model, test = fitted.model, fitted.split.test
    rows = (test if len(test) else fitted.split.train)[:MAX_REFERENCE_ROWS]
    conforming = model.conformer.frame(fitted.frame[rows]).frame
    answers = model.answer_frame(model.scores(model.encoder.encode(conforming)))
    # Rows that the model has learned say nothing about how good it is, so they bring no truth.
    truth = fitted.target[rows] if len(test) else None
    return build_reference(
        conforming,
        answers,
        model.schema,
        truth=truth,
        metrics=metrics_for(model.task),
        seed=model.recipe.train.seed,
    )


def _write_json(path: Path, data: JsonObject) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")


def _reason(gates: GateReport, rival: Challenge, lineage: JsonObject) -> str:
    passed = f"{len(gates.results)} gates passed"
    if sample := lineage.get(SAMPLE):
        passed += f"; trained on {sample['rows']:,} of {sample['of']:,} rows"
    if rival.champion is None:
        return f"first champion; {passed}"
    if rival.comparison is None:
        return f"replaced version {rival.champion.number} without a comparison: {rival.reason}; {passed}"
    return f"challenged version {rival.champion.number}; {passed}"
