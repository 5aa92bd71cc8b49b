"""A folder that `docker build` makes an image of: the version inside, pinned packages, no root, a health check."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from rowsmith.recipe import RECIPE_FILE, Recipe
from rowsmith.registry.versions import Version
from rowsmith.storage import archive
from rowsmith.types import JsonObject
from rowsmith.workflows.carried import carry
from rowsmith.workflows.exports.format import Format
from rowsmith.workflows.pins import pins
from rowsmith.workflows.project import Project
from rowsmith.workflows.recipe_file import explained

TEMPLATES = "templates_docker"
SUFFIX = ".template"


def write(project: Project, version: Version, place: Path) -> JsonObject:
    carry(project, version, place / "version")
    recipe = Recipe.from_dict(archive.read_data(place / "version" / "model")["recipe"])
    words = {
        "@NAME@": version.name,
        "@NUMBER@": str(version.number),
        "@PYTHON@": platform.python_version(),
        "@PINS@": "\n".join(pins()),
        "@RECIPE@": explained(_chosen({**recipe.to_dict(), "name": version.name}, Recipe().to_dict())),
    }
    for template in files("rowsmith").joinpath(TEMPLATES).iterdir():
        text = template.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path = place / template.name.removesuffix(SUFFIX).replace("dot_", ".", 1)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(0o755)
    (place / RECIPE_FILE).write_text(words["@RECIPE@"], encoding="utf-8")
    (place / "wheels").mkdir()
    (place / "wheels" / "README.txt").write_text(WHEELS, encoding="utf-8")
    return {"next_step": f"docker build -t {version.name.lower()}:{version.number} {{out}}"}


def _chosen(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the defaults. Where the rows came from stays at home."""
    chosen: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = _chosen(value, defaults.get(key) or {})
            if inner and key != "data":
                chosen[key] = inner
        elif value is not None and value != defaults.get(key):
            chosen[key] = value
    return chosen


WHEELS = """\
Wheels in this folder are taken before those of a package index. Put Rowsmith's own here where your index has none:

    pip wheel --no-deps -w wheels PATH/OF/ROWSMITH
"""

DOCKER = Format("docker", "A folder for `docker build`, with the version inside.", "{name}-{number}-docker", write)
