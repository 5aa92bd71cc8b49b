"""What each address asks of a key. An address that is not listed here is for administrators."""

from __future__ import annotations

from functools import cache

from rowsmith.access.keys import KeyRole

OPEN = None
"""Answered without a key."""

ENDPOINTS: dict[str, KeyRole | None] = {
    "static": OPEN,
    "api_operations.health": OPEN,
    "api_operations.metrics": KeyRole.OPERATE,
    "oip.live": OPEN,
    "oip.ready": OPEN,
    "scoring.ping": OPEN,
}
"""Single addresses that differ from their blueprint."""

BLUEPRINTS: dict[str, KeyRole | None] = {
    "sign_in": OPEN,
    "api_predict": KeyRole.PREDICT,
    "api_labels": KeyRole.PREDICT,
    "api_models": KeyRole.PREDICT,
    "api_operations": KeyRole.PREDICT,
    "api_jobs": KeyRole.PREDICT,
    "api_audit": KeyRole.ADMIN,
    "oip": KeyRole.PREDICT,
    "scoring": KeyRole.PREDICT,
    "home": KeyRole.PREDICT,
    "predict": KeyRole.PREDICT,
    "batch": KeyRole.PREDICT,
    "reference": KeyRole.PREDICT,
    "versions": KeyRole.OPERATE,
    "monitoring": KeyRole.OPERATE,
    "traffic": KeyRole.OPERATE,
    "api_traffic": KeyRole.OPERATE,
    "api_champions": KeyRole.OPERATE,
    "data": KeyRole.OPERATE,
}


@cache
def role_for(endpoint: str | None) -> KeyRole | None:
    """The least role that an endpoint takes; None where none is needed. An address that leads nowhere needs a key."""
    if endpoint is None:
        return KeyRole.PREDICT
    if endpoint in ENDPOINTS:
        return ENDPOINTS[endpoint]
    return BLUEPRINTS.get(endpoint.partition(".")[0], KeyRole.ADMIN)
