"""GET /api/v1/models and /api/v1/models/<name>/versions."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response

from rowsmith.errors import NotFoundError
from rowsmith.registry.versions import Version
from rowsmith.serving.services import services
from rowsmith.types import JsonObject

blueprint = Blueprint("api_models", __name__)


@blueprint.get("/api/v1/models")
def models() -> Response:
    """Every name that has a version, and its champion."""
    project = services().project
    names = () if project.is_empty else project.registry.names()
    listed = [{"name": name, "champion": _champion_number(name)} for name in names]
    return Response(orjson.dumps({"models": listed}), content_type="application/json")


@blueprint.get("/api/v1/models/<name>/versions")
def versions(name: str) -> Response:
    """Raises NotFoundError for a name without a version."""
    project = services().project
    found = () if project.is_empty else project.registry.list(name)
    if not found:
        raise NotFoundError("there is no model of this name")
    champion = _champion_number(name)
    listed = [version_to_dict(version) | {"champion": version.number == champion} for version in found]
    return Response(orjson.dumps({"name": name, "versions": listed}), content_type="application/json")


def version_to_dict(version: Version) -> JsonObject:
    """Without the lineage, which names files and machines."""
    return {
        "version": version.number,
        "created": version.created,
        "metric": version.metric,
        "score": version.score,
        "snapshot": version.snapshot_id,
        "recipe": version.recipe_hash,
        "artifact": version.artifact_hash,
    }


def _champion_number(name: str) -> int | None:
    champion = services().project.registry.champion(name)
    return None if champion is None else champion.number
