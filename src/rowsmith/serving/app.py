"""create_app: the Flask application over a project."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from rowsmith.access.keyring import Keyring
from rowsmith.access.keys import KeyStore
from rowsmith.serving import api, compressed, cross_origin, errors, hot, observing, pages, protocols, security
from rowsmith.serving.gate import Gate
from rowsmith.serving.metrics import Meter
from rowsmith.serving.models import Models
from rowsmith.serving.permissions import role_for
from rowsmith.serving.rate_limits import RateLimiter
from rowsmith.serving.readiness import asks_for_keys
from rowsmith.serving.services import MEGABYTE, Services, attach
from rowsmith.serving.sessions import Sessions
from rowsmith.serving.shadows import Shadows
from rowsmith.serving.telling import tell_of_roll_back
from rowsmith.settings import Settings
from rowsmith.storage.secret_files import secret_file
from rowsmith.workflows.project import Project

STATIC_SECONDS = 31_536_000
MAX_FORM_PARTS = 5000
HOT = (*api.HOT, *protocols.HOT)


def create_app(project: Project, settings: Settings, *, counters: Path | None = None) -> Flask:
    """The application: REST API, operations and pages over the champion of the project's model.

    `counters` is a folder in which several server processes add up their metrics. Nothing is loaded until the first
    request, so an application may be made before a fork or in a spawned process alike.
    """
    app = Flask("rowsmith.serving", root_path=str(Path(__file__).parent))
    # A static file is asked for under its hash (see pages/layout.py), so a browser may keep it for good.
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = STATIC_SECONDS
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb << 20
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_mb << 20
    app.config["MAX_FORM_PARTS"] = MAX_FORM_PARTS
    meter = Meter(counters)
    gate = open_gate(project, settings, counters)
    models = Models(
        project,
        idle_seconds=60 * settings.idle_minutes,
        max_bytes=settings.models_mb * MEGABYTE,
        on_roll_back=partial(tell_of_roll_back, settings.alerts),
    )
    site = Services(project, settings, models, Shadows(meter), meter, gate)
    attach(app, site)
    hot.register(app, site, lambda environ, endpoint: gate.admit(environ, role_for(endpoint)), HOT)
    security.register(app, gate)
    errors.register(app)
    pages.prepare(app)
    for blueprint in (*api.BLUEPRINTS, *protocols.BLUEPRINTS, *pages.BLUEPRINTS):
        app.register_blueprint(blueprint)
    compressed.register(app)
    cross_origin.register(app, settings.cors_origins)
    # Around all of it, so that refused requests are counted, too.
    observing.register(app, meter, site.traces, site.log_lag)
    if proxies := settings.trusted_proxies:
        # What the last so many proxies say of the caller is believed, and nothing that came before them.
        app.wsgi_app = ProxyFix(app.wsgi_app, proxies, proxies, proxies, x_prefix=proxies)  # type: ignore[method-assign]
    return app


def open_gate(project: Project, settings: Settings, counters: Path | None) -> Gate:
    """The gate of a project's keys; `counters` is a folder in which several processes share the rate limits."""
    return Gate(
        ask_for_keys=asks_for_keys(settings),
        keyring=Keyring(lambda: KeyStore(project.database)),
        sessions=Sessions(lambda: secret_file(project.store / "secrets" / "session.key")),
        limiter=RateLimiter(counters),
        rate=settings.rate_limit,
        origins=settings.cors_origins,
    )
