"""The schema as a TOML file that a person reads and edits; what is written is read back exactly."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from rowsmith.errors import RecipeError
from rowsmith.schema import Parsing, Policies, Policy, Schema
from rowsmith.storage.files import write_atomically
from rowsmith.types import ColumnKind, JsonObject, Role, Task

HEADER = """\
# The schema of this project's table: inferred from the rows, enforced in training, batch and serving.
# Edit `kind`, `roles`, `parsing` and the policies; the facts below them are taken afresh from the rows of each
# training. See docs/guide/schema-and-checks.md.
#
# kind:  {kinds}
# roles: {roles}; a column without one is a feature
"""
POLICIES_COMMENT = (
    "# What a departure from the schema does: error (refuse), warn (go on and say so), accept (go on silently)."
)
FACTS_COMMENT = "# facts"
TOP_KEYS = ("task", "labels", "policies", "column")
COLUMN_KEYS = {
    "name": str, "kind": str, "roles": list, "parsing": dict, "missing": float, "level_count": int,
    "minimum": float, "maximum": float, "typical": object, "stored": str, "categories": list,
}  # fmt: skip
PARSING_KEYS = {"decimal": str, "thousands": str, "affixes": list, "date_format": str, "nulls": list}
EDITED_KEYS = ("name", "kind", "roles", "parsing")
KINDS = tuple(kind.value for kind in ColumnKind)
ROLES = tuple(role.value for role in Role)
TASKS = tuple(task.value for task in Task)


def write_schema(schema: Schema, path: Path) -> None:
    """Replace the file in one step. Raises StorageError."""
    write_atomically(path, to_toml(schema))


def to_toml(schema: Schema) -> str:
    """The text of the file: same schema, same text."""
    return "\n".join(_lines(schema.to_dict())) + "\n"


def read_schema(path: Path) -> Schema:
    """Raises RecipeError for a file that is not TOML or not a schema, naming the column and the key at fault."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise RecipeError(f"the schema cannot be read: {problem.strerror}", where=str(path)) from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"this is not a TOML file: {problem}", where=str(path)) from problem
    _check(data, str(path))
    return Schema.from_dict({**data, "columns": data.get("column", [])})


def _lines(data: JsonObject) -> Iterator[str]:
    yield HEADER.format(kinds=", ".join(KINDS), roles=", ".join(ROLES))
    if data["task"]:
        yield f"task = {_value(data['task'])}"
    if data["labels"]:
        yield "# The classes in the order of the probabilities; of two, the event is the last."
        yield f"labels = {_value(data['labels'])}"
    yield ""
    yield POLICIES_COMMENT
    yield "[policies]"
    yield from (f"{name} = {_value(policy)}" for name, policy in data["policies"].items())
    for column in data["columns"]:
        yield ""
        yield "[[column]]"
        yield from (f"{key} = {_value(column[key])}" for key in EDITED_KEYS if key in column)
        facts = [key for key in COLUMN_KEYS if key not in EDITED_KEYS and column.get(key) is not None]
        if facts:
            yield FACTS_COMMENT
        yield from (f"{key} = {_value(column[key])}" for key in facts)


def _value(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_escaped(char) for char in value) + '"'
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return str(value)


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char < " " or char == "\x7f":
        return f"\\u{ord(char):04x}"
    return char


def _check(data: JsonObject, where: str) -> None:
    _check_keys(data, TOP_KEYS, where)
    if "task" in data:
        _check_choice(data["task"], TASKS, f"{where}, task")
    labels = data.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise _wrong("labels are texts", f"{where}, labels", labels, '["no", "yes"]')
    policies = data.get("policies", {})
    _check_keys(policies, tuple(Policies.__dataclass_fields__), f"{where}, [policies]")
    for name, policy in policies.items():
        _check_choice(policy, get_args(Policy), f"{where}, [policies] {name}")
    columns = data.get("column", [])
    if not isinstance(columns, list) or not columns:
        raise RecipeError(
            "there is no [[column]] in this schema", where=where, next_step="remove the file to infer it again"
        )
    names: set[str] = set()
    for place, column in enumerate(columns, start=1):
        _check_column(column, place, names, where)


def _check_column(column: Any, place: int, names: set[str], where: str) -> None:
    name = column.get("name") if isinstance(column, dict) else None
    if not isinstance(name, str):
        raise RecipeError("a column has no name", where=f"{where}, [[column]] number {place}")
    where = f'{where}, column "{name}"'
    if name in names:
        raise RecipeError("two columns have this name", where=where)
    names.add(name)
    _check_keys(column, tuple(COLUMN_KEYS), where)
    if "kind" not in column:
        raise RecipeError("the column has no kind", where=where, allowed=", ".join(KINDS))
    _check_choice(column["kind"], KINDS, f"{where}, kind")
    _check_types(column, COLUMN_KEYS, where)
    for role in column.get("roles", []):
        _check_choice(role, ROLES, f"{where}, roles")
    _check_texts(column.get("categories", []), f"{where}, categories")
    if not isinstance(column.get("typical", ""), str | float | int):
        raise _wrong("a typical value is a text, a number or true or false", where, column["typical"], "")
    parsing = column.get("parsing", {})
    _check_keys(parsing, tuple(Parsing.__dataclass_fields__), f"{where}, parsing")
    _check_types(parsing, PARSING_KEYS, f"{where}, parsing")
    _check_choice(parsing.get("decimal", "."), (".", ","), f"{where}, parsing.decimal")
    for key in ("affixes", "nulls"):
        _check_texts(parsing.get(key, []), f"{where}, parsing.{key}")


def _check_keys(table: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        raise _wrong("this is a table of keys and values", where, table, ", ".join(known))
    strangers = [key for key in table if key not in known]
    if strangers:
        raise RecipeError(f'there is no key "{strangers[0]}" here', where=where, allowed=", ".join(known))


def _check_types(table: JsonObject, types: dict[str, Any], where: str) -> None:
    for key, value in table.items():
        wanted = types[key]
        # TOML has 1 and 1.0; a person writes the one for the other.
        fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
        if not fits or (isinstance(value, bool) and wanted in (float, int)):
            raise _wrong(f"{key} is of another type", where, value, "" if wanted is object else wanted.__name__)


def _check_texts(values: Any, where: str) -> None:
    wrong = [value for value in values if not isinstance(value, str)]
    if wrong:
        raise _wrong("these are texts", where, wrong[0], 'each in quotes, such as "a"')


def _check_choice(value: Any, choices: tuple[str, ...], where: str) -> None:
    if value not in choices:
        raise _wrong("this value is not one of those allowed", where, value, ", ".join(choices))


def _wrong(what: str, where: str, received: Any, allowed: str) -> RecipeError:
    return RecipeError(what, where=where, received=repr(received), allowed=allowed)
