"""Which column has which role: the recipe's names, held against the table's."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from rowsmith.errors import RecipeError
from rowsmith.recipe import Recipe
from rowsmith.types import Role

MAX_NAMES_LISTED = 40


def roles_of_columns(names: Sequence[str], recipe: Recipe) -> dict[str, tuple[Role, ...]]:
    """Raises RecipeError for a name that the table lacks, and for a target that has another role besides."""
    roles: dict[str, list[Role]] = {name: [] for name in names}
    for place, name, role in _named(recipe):
        _require(name, names, place)
        if role is not None and role not in roles[name]:
            roles[name].append(role)
    for name, given in roles.items():
        if len(given) > 1 and Role.TARGET in given:
            raise RecipeError(
                f'the column "{name}" is the target, and can have no other role',
                received=" and ".join(given),
                next_step="take it out of all but one",
            )
    return {name: tuple(given) for name, given in roles.items()}


def _named(recipe: Recipe) -> Iterator[tuple[str, str, Role | None]]:
    """Every column that the recipe names: where, which, as what."""
    columns = recipe.columns
    for place, name, role in (
        ("target.column", recipe.target.column, Role.TARGET),
        ("columns.time", columns.time, Role.TIME),
        ("columns.group", columns.group, Role.GROUP),
        ("columns.weight", columns.weight, Role.WEIGHT),
        ("columns.subject_id", columns.subject_id, Role.SUBJECT_ID),
    ):
        if name is not None:
            yield place, name, role
    yield from (("columns.ignore", name, Role.IGNORED) for name in columns.ignore)
    yield from (("columns.sensitive", name, Role.SENSITIVE) for name in columns.sensitive)
    yield from (("columns.kinds", name, None) for name in columns.kinds)


def _require(name: str, names: Sequence[str], place: str) -> None:
    if name in names:
        return
    by_folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    shown = ", ".join(names[:MAX_NAMES_LISTED]) + (", ..." if len(names) > MAX_NAMES_LISTED else "")
    raise RecipeError(
        f'there is no column "{name}"',
        where=place,
        allowed=shown,
        next_step="names like it: " + ", ".join(by_folded[folded] for folded in close) if close else "",
    )
