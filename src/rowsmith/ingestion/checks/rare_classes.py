"""Classes of so few rows that they can hardly be learnt or judged."""

from __future__ import annotations

from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, listed
from rowsmith.ingestion.checks.targets import Targets
from rowsmith.types import Severity

FEW = 10


def check_every_class_has_enough_rows(examined: Examined) -> Outcome:
    target, labels = examined.schema.target, examined.schema.labels
    if target is None or not labels:
        return NotApplicable("the target has no classes")
    targets = examined.tally(Targets)
    if targets.problem is not None:
        message = f'"{target.name}" has labels that the schema does not know: {targets.problem.what}'
        return (Observation(message, (target.name,), severity=Severity.ERROR),)
    rows = targets.of_labels
    present = [label for label, count in rows.items() if count]
    if len(present) < 2:
        message = f'all rows that have a "{target.name}" have the same one'
        advice = "Bring rows with other outcomes: there is nothing to learn from one class."
        return (Observation(message, (target.name,), {"rows": rows}, advice, Severity.ERROR),)
    rare = [label for label in present if rows[label] < FEW]
    if not rare:
        return ()
    return (
        Observation(
            f"{len(rare)} of {len(present)} classes have fewer than {FEW} rows: {listed(rare)}",
            (target.name,),
            {"rows": {label: rows[label] for label in rare}},
            "Bring more rows of these classes, join them with others, or leave them out: figures for them say little.",
        ),
    )


CHECK = Check("rare_classes", "Classes with few rows", Severity.WARNING, check_every_class_has_enough_rows, (Targets,))
