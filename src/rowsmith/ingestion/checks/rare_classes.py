"""Classes of so few rows that they can hardly be learnt or judged."""

from __future__ import annotations

from rowsmith.conform import encode_target
from rowsmith.errors import SchemaError
from rowsmith.ingestion.checks.record import Check, Examined, NotApplicable, Observation, Outcome, listed
from rowsmith.types import Severity

FEW = 10


def check_every_class_has_enough_rows(examined: Examined) -> Outcome:
    target, labels = examined.schema.target, examined.schema.labels
    if target is None or not labels:
        return NotApplicable("the target has no classes")
    try:
        codes = encode_target(examined.labelled.frame[target.name], examined.schema)
    except SchemaError as problem:
        message = f'"{target.name}" has labels that the schema does not know: {problem.what}'
        return (Observation(message, (target.name,), severity=Severity.ERROR),)
    rows = {label: int((codes == code).sum()) for code, label in enumerate(labels)}
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


CHECK = Check("rare_classes", "Classes with few rows", Severity.WARNING, check_every_class_has_enough_rows)
