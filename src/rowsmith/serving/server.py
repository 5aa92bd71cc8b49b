"""serve: listen, say so once it is true, and end cleanly.

Granian runs the application in worker processes. They are never forked from this one, which may hold threads and open
databases that a fork would break, but from one that has only imported the application (see preloading.py). Waitress, in
one process, stands in where granian has no wheel.
"""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowsmith.errors import SettingsError
from rowsmith.serving import preloading
from rowsmith.serving.addresses import is_loopback
from rowsmith.serving.readiness import check_access, check_alerts, check_certificate, check_traces, record_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask import Flask

    from rowsmith.settings import Settings
    from rowsmith.workflows.project import Project

# Large bodies that a worker holds at a time, and waitress's threads, which take no turns (see turns.py).
THREADS = min(8, 2 * (os.cpu_count() or 1) + 1)
CONNECTIONS = 512
"""Of a worker, each with a thread while it has a request; most of these may be waiting for bodies."""
TURNS = 16
"""Requests that a worker is at. One whose answer is held (see held.py) takes no turn meanwhile."""
PORT_SECONDS = 3.0
READY_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
STOP_SECONDS = 15
PLAIN_WARNING = (
    "WARNING: {address} can be reached from other machines without encryption, keys included. Give it a certificate "
    "(--tls-cert, --tls-key), or let a proxy in front of it speak HTTPS."
)

Say = Callable[[str], None]
logger = logging.getLogger("rowsmith.serving")


def serve(
    project: Project,
    settings: Settings,
    *,
    actor: str = "rowsmith serve",
    on_ready: Say = print,
    warn: Say = logger.warning,
) -> None:
    """Run until SIGINT or SIGTERM. Port 0 takes a free one.

    `on_ready` is told the address as soon as a request to it is answered; `actor` is who the audit says changed the
    settings. Raises UsageError where keys are asked for and there is none, SettingsError for a host, port or
    certificate that cannot be used.
    """
    check_access(project, settings)
    check_certificate(settings)
    check_traces(settings)
    check_alerts(settings)
    port = claim(settings.host, settings.port)
    address = url_of(settings.host, port, tls=bool(settings.tls_cert))
    if not is_loopback(settings.host) and not settings.tls_cert:
        warn(PLAIN_WARNING.format(address=address))
    record_settings(project, settings, actor=actor)
    reach = url_of(_reachable(settings.host), port, tls=bool(settings.tls_cert))
    run = _granian if _has_granian() else _waitress
    run(project, replace(settings, port=port), partial(_announce, reach, address, on_ready))


def _has_granian() -> bool:
    try:
        importlib.import_module("granian")
    except ImportError:
        return False
    return True


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def claim(host: str, port: int) -> int:
    """A port that can be listened on: the given one, or a free one for 0.

    Tried for a few seconds, since a server that was just killed may still be letting go. Raises SettingsError.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                # As granian does, except that no second server may share the port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen()
                return int(probe.getsockname()[1])
        except OSError as problem:
            if port == 0 or time.monotonic() > deadline:
                raise SettingsError(
                    f"cannot listen on {url_of(host, port)}: {problem.strerror or problem}",
                    next_step=f"end what listens there, or choose another port: rowsmith serve --port {port + 1}",
                ) from problem
        time.sleep(0.1)


def _reachable(host: str) -> str:
    """Where this machine itself reaches a server that listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _announce(reach: str, address: str, on_ready: Say) -> None:
    import ssl
    import urllib.error
    import urllib.request

    deadline = time.monotonic() + READY_SECONDS
    # Whether the certificate names this address does not matter here: the server asks itself whether it is up.
    trusting = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)
    while time.monotonic() < deadline:
        try:
            opener.open(f"{reach}/health", timeout=READY_SECONDS).close()
        except urllib.error.HTTPError:
            pass  # an answer all the same: there is no model yet
        except OSError:
            time.sleep(0.05)
            continue
        on_ready(address)
        return


def _granian(project: Project, settings: Settings, announce: Callable[[], None]) -> None:
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.log import LogLevels

    from rowsmith.serving import logs
    from rowsmith.serving.workers import Server

    logs.configure(settings.log_format, settings.log_level)
    multiprocessing.set_start_method("spawn", force=True)
    preloading.begin()
    counters = Path(tempfile.mkdtemp(prefix="rowsmith-counters-"))
    # A copy without what the project has opened: workers open their own database.
    load = partial(_load_worker, replace(project), settings, counters)
    server = Server(
        "rowsmith",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        # One connection of HTTP/2 has many requests, of which a slow one could not be told from the others.
        http=HTTPModes.http1,
        workers=settings.workers,
        backpressure=CONNECTIONS,
        blocking_threads=CONNECTIONS,
        log_level=LogLevels.warning,
        log_dictconfig=logs.GRANIAN,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        ssl_cert=Path(settings.tls_cert) if settings.tls_cert else None,
        ssl_key=Path(settings.tls_key) if settings.tls_key else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    server.on_startup(threading.Thread(target=announce, daemon=True).start)
    try:
        server.serve(target_loader=load, wrap_loader=False)
    finally:
        shutil.rmtree(counters, ignore_errors=True)


def _load_worker(project: Project, settings: Settings, counters: Path) -> WSGIApplication:
    """The application of one worker process, which ends when its parent does, however that ended."""
    from rowsmith.serving import logs
    from rowsmith.serving.app import create_app
    from rowsmith.serving.held import hold_answers
    from rowsmith.serving.slow_bodies import SlowBodies
    from rowsmith.serving.turns import Turns

    logs.configure(settings.log_format, settings.log_level)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="rowsmith-parent", daemon=True).start()
    app = create_app(project, settings, counters=counters)
    slow_bodies = SlowBodies(settings.port, settings.body_seconds)
    slow_bodies.start()
    _begin(app, project, settings)
    hold_answers()
    return Turns(app, TURNS, slow_bodies, large=THREADS)


def _begin(app: Flask, project: Project, settings: Settings) -> None:
    """Before the first request: what it would wait for, and what goes on behind all of them."""
    from rowsmith.serving.keeper import Keeper
    from rowsmith.serving.services import KEY

    site = app.extensions[KEY]
    # A database that does not answer must not keep a server from saying so.
    ready = threading.Thread(target=site.get_ready, name="rowsmith-start", daemon=True)
    ready.start()
    ready.join(PATIENCE_SECONDS)
    # What is there by now stays: no collection has to look at it again, nor writes to pages that processes share.
    gc.collect()
    gc.freeze()
    Keeper(project, settings).start()
    site.jobs.start()  # goes on with what an earlier server left


ORPHAN_SECONDS = 2.0
"""That a worker whose parent is gone may take to end what it has begun; the next server waits longer for the port."""


def _end_with(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    # Connections that are never idle would hold the worker up for good. What it acknowledged is on the disk.
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _waitress(project: Project, settings: Settings, announce: Callable[[], None]) -> None:
    from waitress import create_server

    from rowsmith.serving import logs
    from rowsmith.serving.app import create_app

    logs.configure(settings.log_format, settings.log_level)
    if settings.tls_cert:
        raise SettingsError(
            "TLS needs granian, which has no wheel for this platform",
            next_step="let a proxy in front of the server speak HTTPS",
        )
    app = create_app(project, settings)
    _begin(app, project, settings)
    server = create_server(app, host=settings.host, port=settings.port, threads=THREADS, ident="rowsmith")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    threading.Thread(target=announce, daemon=True).start()
    server.run()  # returns on KeyboardInterrupt
    server.close()
