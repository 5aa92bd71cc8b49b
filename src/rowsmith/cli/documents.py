"""What workflows answered, as the plain JSON that `--json` prints and that the views render."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowsmith.access.keys import Key
    from rowsmith.ingestion.refresh import Refreshed
    from rowsmith.ingestion.snapshot import Snapshot
    from rowsmith.registry.versions import Version
    from rowsmith.storage.audit import AuditLine
    from rowsmith.types import JsonObject
    from rowsmith.workflows.ingest import Ingested
    from rowsmith.workflows.run import Outcome


def of_snapshot(snapshot: Snapshot) -> JsonObject:
    return {
        "id": snapshot.id,
        "rows": snapshot.rows,
        "columns": dict(snapshot.columns),
        "source": snapshot.source,
        "created": snapshot.created,
        "parent": snapshot.parent,
        "parts": len(snapshot.parts),
    }


def of_reading(taken: Refreshed) -> JsonObject:
    """What a reading added to the snapshot before, if there was one."""
    return {
        "snapshot": of_snapshot(taken.snapshot),
        "nothing_new": taken.nothing_new,
        "before": taken.before.id if taken.before else None,
        "rows_added": taken.added,
        "rows_replaced": taken.replaced,
        "schema_change": taken.change.to_dict() if taken.change else None,
    }


def of_ingested(ingested: Ingested, schema_file: str) -> JsonObject:
    return {
        "snapshot": of_snapshot(ingested.snapshot),
        "schema": ingested.schema.to_dict(),
        "schema_file": schema_file,
        "findings": [finding.to_dict() for finding in ingested.findings],
    }


def of_version(version: Version, champion: int | None = None) -> JsonObject:
    return {
        "name": version.name,
        "number": version.number,
        "champion": version.number == champion,
        "created": version.created,
        "metric": version.metric,
        "score": version.score,
        "snapshot": version.snapshot_id,
        "recipe": version.recipe_hash,
        "artifact": version.artifact_hash,
    }


def of_outcome(outcome: Outcome) -> JsonObject:
    document = outcome.document
    number = outcome.version.number
    return {
        "version": of_version(outcome.version, number if outcome.promoted else None),
        "promoted": outcome.promoted,
        "folder": str(outcome.folder),
        "report": str(outcome.folder / "report.html"),
        "train_seconds": document["lineage"]["train_seconds"],
        "rows": {key: document["lineage"][f"rows_{key}"] for key in ("trained", "tested")},
        "metrics": document["evaluation"]["metrics"],
        "scores": document["evaluation"]["scores"],
        "gates": document["gates"],
        "challenge": document["champion"],
        "answering": document["answering"],
        "findings": document["findings"],
        "leaderboard": document["leaderboard"],
    }


def of_details(version: JsonObject, document: JsonObject, folder: str) -> JsonObject:
    """One version with what its run found."""
    kept: dict[str, Any] = {key: document[key] for key in ("gates", "findings", "lineage")}
    evaluation = document["evaluation"]
    return {
        "version": version,
        "folder": folder,
        "metrics": evaluation["metrics"],
        "scores": evaluation["scores"],
        "challenge": document["champion"],
        # Absent from what older releases wrote.
        "answering": document.get("answering"),
        **kept,
    }


def of_key(key: Key) -> JsonObject:
    """Everything but the secret, which is kept nowhere."""
    moments = {name: getattr(key, name) for name in ("created", "expires", "revoked", "last_used")}
    return {
        "number": key.number,
        "name": key.name,
        "role": key.role.label,
        "rate": key.rate,
        "created_by": key.created_by,
        **{name: None if moment is None else moment.isoformat() for name, moment in moments.items()},
    }


def of_audit_line(line: AuditLine) -> JsonObject:
    return {
        "position": line.position,
        "time": line.time.isoformat(),
        "actor": line.actor,
        "action": line.action,
        "subject": line.subject,
        "details": line.details,
    }
