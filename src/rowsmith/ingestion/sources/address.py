"""Addresses (scheme://...): recognised, and shown without what is nobody's business."""

from __future__ import annotations

import re
from urllib.parse import unquote

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
PARTS = re.compile(r"([a-z][a-z0-9+.-]+://)(?:([^/?#]*)@)?([^?#]*)(\?[^#]*)?", re.IGNORECASE | re.DOTALL)
SECRET_PARAMETER = re.compile(
    r"([?&;](?:[^=&;]*(?:pass|pwd|secret|token|key|sig|credential|auth)[^=&;]*)=)([^&;]*)", re.IGNORECASE
)
HIDDEN = "***"


def scheme_of(origin: object) -> str:
    """In lower case; empty for what is no address."""
    found = ADDRESS.match(origin) if isinstance(origin, str) else None
    return found[1].lower() if found else ""


def shown(address: str) -> str:
    """The address for people and for what is kept: without a password, *** for parameters that look secret.

    Of a web address the user goes too, since tokens are written there. Text that is no address stays as it is.
    """
    found = PARTS.match(address)
    if found is None:
        return address
    scheme, login, place, query = found[1], found[2] or "", found[3], found[4] or ""
    user = "" if scheme.lower().startswith("http") else login.partition(":")[0]
    hidden = SECRET_PARAMETER.sub(rf"\g<1>{HIDDEN}", query)
    return f"{scheme}{user}{'@' if user else ''}{place}{hidden}"


def secrets_in(address: str) -> list[str]:
    """The secrets that are written out in an address, decoded: its password, parameters that look secret."""
    found = PARTS.match(address)
    if found is None:
        return []
    login, query = found[2] or "", found[4] or ""
    user, _, password = login.partition(":")
    if found[1].lower().startswith("http") and not password:
        password = user
    written = [password, *(parameter[1] for parameter in SECRET_PARAMETER.findall(query))]
    return [unquote(text) for text in written if text and not text.startswith("${")]
