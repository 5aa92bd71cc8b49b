"""Endpoint: what answers a machine, a function of the services and the WSGI environment.

Flask calls it as a view (`flask_view`); where an address is asked thousands of times a second, the door in front of
Flask calls the same function at once (`hot.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from flask import Response, request

from rowsmith.serving.exchange import Reply, to_flask
from rowsmith.serving.services import Services, services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Endpoint: TypeAlias = "Callable[[Services, WSGIEnvironment], Reply]"
PlacedEndpoint: TypeAlias = Callable[..., Reply]
"""The same with the variable parts of its address as named arguments."""


def flask_view(endpoint: Endpoint | PlacedEndpoint) -> Callable[..., Response]:
    def view(**place: str) -> Response:
        reply = endpoint(services(), request.environ, **place)
        if reply.pending is not None:
            reply.pending.settle()
        return to_flask(reply)

    return view
