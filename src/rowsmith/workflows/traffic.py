"""Changing models under load: shadows, canaries and splits, and what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from rowsmith.errors import NotFoundError
from rowsmith.model import PREDICTION_COLUMN
from rowsmith.monitoring.alerts import Alert, open_sink, tell
from rowsmith.monitoring.contrast import Contrast, contrast_of_arms, contrast_of_pairs
from rowsmith.monitoring.decide import Level, Reason, Verdict
from rowsmith.monitoring.experiment import Agreement, Arm, Evidence, State, weigh
from rowsmith.monitoring.log_arms import (
    ArmCounts,
    Scored,
    Trial,
    read_arms,
    read_pairs,
    read_scored,
    read_scored_pairs,
)
from rowsmith.monitoring.log_queries import Stretch, read_summary
from rowsmith.monitoring.observations import Observations, plain_answers, true_outcomes
from rowsmith.monitoring.row_losses import TITLES, Loss, loss_for, row_losses
from rowsmith.registry.traffic import ALPHA, Rule, RuleKind, TrafficEvent
from rowsmith.schema import Schema
from rowsmith.types import JsonObject, Vector
from rowsmith.workflows.project import NO_MODEL_YET, Project

ROLES = {"shadow": "shadow", "canary": "canary", "split": "challenger"}
PAIRS_COMPARED = 5000
# An answer counts as slow when it takes longer than this many times what 99 % of the champion's lately did.
SLOW_FACTOR = 2.0
SLOW_AT_LEAST_MS = 20.0
SLOW_UNLESS_KNOWN_MS = 100.0
LATELY = timedelta(days=7)
AUTOMATIC = "rowsmith serve"


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """`rule` is the one in force and `evidence` what it has shown, None where the champion answers alone."""

    name: str
    champion: int | None
    rule: Rule | None
    evidence: Evidence | None
    events: tuple[TrafficEvent, ...]

    def to_dict(self) -> JsonObject:
        event = None if self.rule is None else next(e for e in self.events if e.position == self.rule.position)
        return {
            "name": self.name,
            "champion": self.champion,
            "rule": event.to_dict() if event else None,
            "evidence": self.evidence.to_dict() if self.evidence else None,
            "events": [event.to_dict() for event in self.events],
        }


def begin(
    project: Project,
    kind: RuleKind,
    ref: str | int,
    *,
    share: float = 1.0,
    key: str = "",
    slow_ms: float | None = None,
    alpha: float = ALPHA,
    reason: str = "",
    actor: str = "rowsmith traffic",
) -> TrafficEvent:
    """Let a version see a share of the traffic; see registry/traffic.py. The version's files are looked at first.

    Raises NotFoundError, UsageError, ArtifactError, StorageError.
    """
    version = project.version(ref)
    project.registry.folder(version)
    return project.traffic.begin(
        version.name,
        kind,
        version.number,
        share=share,
        key=key,
        slow_ms=slow_ms if slow_ms is not None else _slow_ms(project, version.name),
        alpha=alpha,
        reason=reason or "no reason given",
        actor=actor,
    )


def stop(project: Project, *, reason: str = "", actor: str = "rowsmith traffic") -> TrafficEvent:
    """Let the champion answer alone again. Raises NotFoundError where it does already."""
    if project.is_empty:
        raise NotFoundError("there is no model here yet", where=str(project.root), next_step=NO_MODEL_YET)
    event = project.traffic.end(project.recipe.name, reason=reason or "no reason given", actor=actor)
    assert event is not None
    return event


def show(project: Project, name: str | None = None) -> TrafficReport:
    """The rule in force, what it has shown so far, and every event. Raises NotFoundError, StorageError."""
    if project.is_empty:
        raise NotFoundError("there is no model here yet", where=str(project.root), next_step=NO_MODEL_YET)
    name = name or project.recipe.name
    champion, rule = project.registry.champion(name), project.traffic.rule(name)
    evidence = None
    if rule is not None:
        evidence = gather(project, name, rule, project.model(rule.champion, name).schema)
    return TrafficReport(name, champion.number if champion else None, rule, evidence, project.traffic.events(name))


def gather(project: Project, name: str, rule: Rule, schema: Schema) -> Evidence:
    """What the log holds of a rule. `schema` is the champion's model's. Raises StorageError."""
    trial = _trial(name, rule)
    project.log.settle()
    with project.database.reading() as connection:
        counts = read_arms(connection, trial, rule.slow_ms)
        read = read_scored_pairs if rule.kind == "shadow" else read_scored
        scored = read(connection, trial)
        pairs = read_pairs(connection, trial, limit=PAIRS_COMPARED) if rule.kind == "shadow" else None
        arms = []
        for version, role in ((rule.champion, "champion"), (rule.challenger, ROLES[rule.kind])):
            summary = read_summary(connection, Stretch(name, trial.start, None, version, role))
            arms.append(Arm(version, role, counts.get(role, ArmCounts()), summary.latency_p50, summary.latency_p95))
    metric = project.registry.get(name, rule.champion).metric
    return weigh(
        *arms,
        share=rule.share,
        slow_ms=rule.slow_ms,
        alpha=rule.alpha,
        contrast=_contrast(rule, scored, schema, metric) if scored.entries.height else None,
        agreement=_agreement(*pairs) if pairs is not None else None,
    )


def roll_back_if_worse(project: Project, name: str, rule: Rule, schema: Schema) -> TrafficEvent | None:
    """Take a canary back where it does worse beyond chance; the event has the evidence. None where it does not."""
    evidence = gather(project, name, rule, schema)
    if evidence.state is not State.WORSE:
        return None
    return project.traffic.end(
        name,
        kind="roll back",
        reason=evidence.reasons or evidence.sentence,
        actor=AUTOMATIC,
        evidence=evidence.to_dict(),
        over=rule.position,
    )


def tell_of_roll_back(event: TrafficEvent, targets: Sequence[str]) -> tuple[str, ...]:
    """Tell each of the targets (see `open_sink`) that a challenger was taken back; why any of them never took it.

    Raises SettingsError for a target that is none.
    """
    message = f"version {event.challenger} was taken back, and version {event.champion} answers alone: {event.reason}"
    reason = Reason("rolled_back", Level.WARN, message, "see: rowsmith traffic show")
    alert = Alert(event.name, event.created, Verdict(Level.WARN, (reason,)))
    return tell(alert, [open_sink(target) for target in targets])


def _trial(name: str, rule: Rule) -> Trial:
    return Trial(name, rule.position, datetime.fromisoformat(rule.created))


def _slow_ms(project: Project, name: str) -> float:
    with project.database.reading() as connection:
        lately = read_summary(connection, Stretch(name, datetime.now(UTC) - LATELY, None, None, "champion"))
    if lately.latency_p99 is None:
        return SLOW_UNLESS_KNOWN_MS
    return max(SLOW_FACTOR * lately.latency_p99, SLOW_AT_LEAST_MS)


def _contrast(rule: Rule, scored: Scored, schema: Schema, metric: str) -> Contrast:
    assert schema.task is not None
    loss = loss_for(schema.task, metric)
    entries = scored.entries
    times, units = entries["time"].to_list(), entries["unit"].to_list()
    challenger = _losses(scored.answers, entries["label"], schema, loss)
    if scored.beside is not None:
        champion = _losses(scored.beside, entries["label"], schema, loss)
        return contrast_of_pairs(times, units, champion, challenger, loss=TITLES[loss], alpha=rule.alpha)
    is_challenger = (entries["role"] != "champion").to_numpy()
    return contrast_of_arms(
        times, units, is_challenger, challenger, share=rule.share, loss=TITLES[loss], alpha=rule.alpha
    )


def _losses(answers: pl.DataFrame, outcomes: pl.Series, schema: Schema, loss: Loss) -> Vector:
    plain = plain_answers(answers, schema)
    truth = true_outcomes(Observations(pl.DataFrame(), plain, truth=outcomes), schema)
    assert truth is not None
    return row_losses(loss, truth, plain, schema.labels)


def _agreement(shadow: pl.DataFrame, given: pl.DataFrame) -> Agreement:
    """Of the latest answers to the same rows."""
    if not shadow.height:
        return Agreement(0, None, None)
    ours, theirs = shadow[PREDICTION_COLUMN], given[PREDICTION_COLUMN]
    if ours.dtype.is_numeric() and theirs.dtype.is_numeric():
        return Agreement(shadow.height, None, _mean_distance(ours, theirs))
    same = float(np.mean(ours.cast(pl.String).to_numpy() == theirs.cast(pl.String).to_numpy()))
    shared = [name for name in shadow.columns if name.startswith("probability_") and name in given.columns]
    distances = [_mean_distance(shadow[name], given[name]) for name in shared]
    return Agreement(shadow.height, same, sum(distances) / 2 if distances else None)


def _mean_distance(ours: pl.Series, theirs: pl.Series) -> float:
    distance = (ours.cast(pl.Float64) - theirs.cast(pl.Float64)).abs().mean()
    return float(distance) if isinstance(distance, float) else math.nan
