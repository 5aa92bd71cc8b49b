"""The order in which configurations are tried: learned from many tables, kept in `portfolio.json` beside this file.

`benchmarks/portfolio/` learns it, after the portfolios of Auto-sklearn 2.0 (Feurer et al. 2022, JMLR 23:261) and of
TabRepo (Salinas and Erickson 2024, arXiv:2311.02971).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from rowsmith.errors import RecipeError
from rowsmith.training.data import Shape
from rowsmith.training.families import FAMILIES
from rowsmith.training.families.base import Family
from rowsmith.training.proposals import Proposal, interleave
from rowsmith.types import Task

FORMAT = 1
EVERYTHING = Shape(rows=10_000, columns=20, classes=2, task=Task.BINARY, widest_category=1_000_000)
"""A table for which every family names all its configurations."""


def in_order(families: Sequence[Family], shape: Shape, own: str | Path | None = None) -> list[Proposal]:
    """The configurations of the families, those of the order first; the others follow family by family in turn.

    `own` is the path of a file that stands for the built-in order. Raises RecipeError where it cannot be used.
    """
    order = built_in_order() if own is None else read_order(Path(own))
    position = {name: i for i, name in enumerate(order)}
    return sorted(interleave(families, shape), key=lambda proposal: position.get(proposal.name, len(order)))


def built_in_order() -> tuple[str, ...]:
    """Names `family/configuration`, the first to be tried first."""
    text = files(__package__).joinpath("portfolio.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["order"])


def read_order(path: Path) -> tuple[str, ...]:
    """The order in a file like `portfolio.json`. Raises RecipeError that says what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise _refused(f"the portfolio cannot be read: {problem.strerror}", path) from problem
    except ValueError as problem:
        raise _refused(f"this is not a JSON file: {problem}", path) from problem
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _refused(f'a portfolio is an object with "format": {FORMAT} and "order"', path)
    order = document.get("order")
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        raise _refused('"order" has to be a list of names like "lightgbm/middle"', path, received=order)
    known = configuration_names()
    for name in order:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise _refused(
                f"there is no configuration {name!r}" + (f" (is it {near[0]!r}?)" if near else ""),
                path,
                allowed=", ".join(known),
            )
    if len(set(order)) < len(order):
        raise _refused("a configuration is named twice", path, received=order)
    return tuple(order)


def configuration_names() -> tuple[str, ...]:
    """Of every configuration that any table may get."""
    return tuple(proposal.name for proposal in interleave(FAMILIES, EVERYTHING))


def _refused(message: str, path: Path, *, received: Any = None, allowed: str = "") -> RecipeError:
    return RecipeError(
        message,
        where=f"{path} (train.portfolio)",
        received="" if received is None else repr(received)[:200],
        allowed=allowed,
        next_step="benchmarks/portfolio/ says how such a file is made",
    )
