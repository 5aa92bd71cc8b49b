"""What an endpoint for machines hands back, without a web framework in between."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response

from rowsmith.serving.pending import Pending

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"


@dataclass(slots=True)  # not frozen, since one is made for each request
class Reply:
    body: bytes
    content_type: str = JSON_TYPE
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    pending: Pending | None = None
    """What has to be durable before this is sent."""


def to_flask(reply: Reply) -> Response:
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    response.headers.extend(list(reply.headers))
    return response
