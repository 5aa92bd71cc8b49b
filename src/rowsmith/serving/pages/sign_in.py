"""Signing in with a key, and out again."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from rowsmith.access.keys import PREFIX
from rowsmith.serving.services import services
from rowsmith.serving.sessions import COOKIE, SESSION_SECONDS

blueprint = Blueprint("sign_in", __name__)

MAX_KEY = 200


@blueprint.get("/sign-in")
def form() -> str | Response:
    if not services().gate.asks_for_keys:
        return redirect(url_for("home.home"))
    return render_template("sign_in.html", next=own_path(request.args.get("next", "")), fault="")


@blueprint.post("/sign-in")
def enter() -> Response | tuple[str, int]:
    """A cookie in exchange for a key. The key itself is not kept, here or in the browser."""
    gate = services().gate
    secret = request.form.get("key", "").strip()
    goal = own_path(request.form.get("next", ""))
    key = gate.keyring.find(secret) if gate.asks_for_keys and 0 < len(secret) <= MAX_KEY else None
    if key is None:
        fault = "This key is unknown, was revoked or has ended."
        if not secret.startswith(PREFIX):
            fault = f"This is not a key: one begins with {PREFIX}."
        return render_template("sign_in.html", next=goal, fault=fault), 401
    response = redirect(goal, code=303)
    response.set_cookie(
        COOKIE,
        gate.sessions.begin(key.number),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure or request.headers.get("X-Forwarded-Proto") == "https",
    )
    return response


@blueprint.post("/sign-out")
def leave() -> Response:
    response = redirect(url_for("sign_in.form"), code=303)
    response.delete_cookie(COOKIE, httponly=True, samesite="Lax")
    return response


def own_path(text: str) -> str:
    """A path of this server and nothing else: no other site is gone to from here."""
    parts = urlsplit(text.replace("\\", "/"))
    if parts.scheme or parts.netloc or not text.startswith("/") or text.startswith("//") or not text.isprintable():
        return url_for("home.home")
    return text
