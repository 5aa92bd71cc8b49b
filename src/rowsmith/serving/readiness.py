"""What must hold before a server listens: keys where it asks for them, a certificate that can be used."""

from __future__ import annotations

import json
import ssl
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rowsmith.errors import SettingsError, UsageError
from rowsmith.serving.addresses import is_loopback
from rowsmith.settings import Settings

if TYPE_CHECKING:
    from rowsmith.types import JsonObject
    from rowsmith.workflows.project import Project

SETTINGS_ACTION = "settings"
UNSAID = frozenset({"database_url", "alerts", "mlflow_tracking_uri", "otlp_endpoint"})
"""These may hold a password; the audit says only whether they are set."""


def asks_for_keys(settings: Settings) -> bool:
    """Always where other machines can reach the server, and on loopback where the settings say so."""
    return settings.require_keys or not is_loopback(settings.host)


def check_access(project: Project, settings: Settings) -> None:
    """Raises UsageError where keys are asked for and nobody could have one."""
    if not asks_for_keys(settings):
        return
    from rowsmith.access.keys import KeyStore

    now = datetime.now(UTC)
    if project.is_empty or not any(key.in_force(now) for key in KeyStore(project.database).list()):
        reason = "keys are required" if is_loopback(settings.host) else f"other machines can reach {settings.host}"
        raise UsageError(
            f"{reason}, and there is no key yet that anybody could use",
            next_step="make one with: rowsmith keys create NAME --role predict",
        )


def check_certificate(settings: Settings) -> None:
    """Raises SettingsError for a certificate or key that cannot be used, or one without the other."""
    if not settings.tls_cert and not settings.tls_key:
        return
    if not (settings.tls_cert and settings.tls_key):
        raise SettingsError(
            "TLS needs both a certificate and its private key", next_step="give both: --tls-cert FILE --tls-key FILE"
        )
    try:
        # An empty password, so that nobody is asked for one on a terminal that may not be there.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or str(problem)
        raise SettingsError(
            f"the certificate or its key cannot be used: {reason}",
            where=f"{settings.tls_cert}, {settings.tls_key}",
            next_step="both are PEM files that belong together, the key without a password",
        ) from problem


def check_traces(settings: Settings) -> None:
    """Raises SettingsError where traces are asked for and cannot be made: here, and not in every worker again."""
    if settings.otlp_endpoint:
        from rowsmith.serving.tracing import open_traces

        open_traces(settings.otlp_endpoint).close()


def check_alerts(settings: Settings) -> None:
    """Raises SettingsError for a target of alerts that is none: before there is something to tell."""
    if settings.alerts:
        from rowsmith.monitoring.alerts import open_sink

        for target in settings.alerts:
            open_sink(target)


def record_settings(project: Project, settings: Settings, *, actor: str) -> None:
    """A line of the audit where a server starts with other settings than the one before it. Raises StorageError."""
    if project.is_empty:
        return
    from rowsmith.storage import audit

    said = _said(settings)
    last = audit.lines(project.database, action=SETTINGS_ACTION, limit=1)
    before = last[0].details.get("settings", {}) if last else {}
    if last and before == said:
        return
    changed = sorted(name for name in said | before if said.get(name) != before.get(name))
    with project.database.writing() as connection:
        audit.record(
            connection,
            actor=actor,
            action=SETTINGS_ACTION,
            subject="server",
            details={"settings": said, "changed": changed},
        )


def _said(settings: Settings) -> JsonObject:
    """Those that are not at their defaults; the port of a free choice says nothing."""
    given, usual = asdict(settings), {field.name: field.default for field in fields(Settings)}
    said = {name: "set" if name in UNSAID else value for name, value in given.items() if value != usual[name]}
    said.pop("source_date_epoch", None)
    document: JsonObject = json.loads(json.dumps(said))
    return document
