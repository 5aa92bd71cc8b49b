"""A bare echo: Flask on granian, with the workers and threads of `rowsmith serve`. Run with a port."""

from __future__ import annotations

import sys

import orjson
from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from rowsmith.serving.server import THREADS


def load() -> Flask:
    app = Flask("echo")

    @app.post("/echo")
    def echo() -> Response:
        return Response(orjson.dumps(orjson.loads(request.get_data(cache=False))), content_type="application/json")

    return app


if __name__ == "__main__":
    Granian(
        "echo",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        workers=2,
        blocking_threads=THREADS,
        log_level=LogLevels.warning,
    ).serve(target_loader=load, wrap_loader=False)
