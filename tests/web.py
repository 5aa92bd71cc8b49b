"""A real web server of the tests' own, with pages, throttles and faults; each test says what it answers."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson


@dataclass(frozen=True)
class Asked:
    """A request that came in. Names of headers are in lower case; of a parameter the last value counts."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Answer:
    """`body` that is no bytes goes out as JSON. `cut` sends that many bytes fewer than it promises; `stall` is how long
    to wait in the middle."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    stall: float = 0.0

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


def html(text: str, **headers: str) -> Answer:
    return Answer(text.encode(), headers={"Content-Type": "text/html; charset=utf-8", **headers})


def zipped(body: Any) -> Answer:
    return Answer(gzip.compress(Answer(body).content()), headers={"Content-Encoding": "gzip"})


Route = Callable[[Asked], Answer]


class WebServer:
    """`routes` maps a path to what answers it; everything else is 404. `asked` holds the requests, in order."""

    def __init__(self, routes: Mapping[str, Route | Answer], certificate: Path | None = None) -> None:
        self.routes = dict(routes)
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        route = self.routes.get(asked.path)
        if route is None:
            return Answer(b"not here", 404)
        return route if isinstance(route, Answer) else route(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                target = urlsplit(self.path)
                params = {name: values[-1] for name, values in parse_qs(target.query).items()}
                asked = Asked(target.path, params, {name.lower(): value for name, value in self.headers.items()})
                answer = server.answer(asked)
                content = answer.content()
                self.send_response(answer.status)
                kind = "application/octet-stream" if isinstance(answer.body, bytes) else "application/json"
                for name, value in {"Content-Type": kind, **answer.headers}.items():
                    self.send_header(name, value)
                if answer.status != 304:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if answer.stall:
                    self.wfile.write(content[:1])
                    self.wfile.flush()
                    server.released.wait(answer.stall)
                    content = content[1:]
                if self.command != "HEAD":
                    self.wfile.write(content[: len(content) - answer.cut])
                if answer.cut:
                    self.close_connection = True

            do_HEAD = do_GET

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing on the terminal."""

        return Handler
