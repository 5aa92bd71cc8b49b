"""A recipe as the file that a person reads: every choice with its sentence, what is allowed and its default.

Made from the recipe's own field descriptions, so that neither this file nor the reference goes stale.
"""

from __future__ import annotations

import json
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rowsmith.recipe import Recipe, section_class
from rowsmith.types import JsonObject

WIDTH = 100
TOP = """\
What to train. Every choice stands here with its default; take the # away to make one your own.
Paths are relative to this file."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One key of the recipe. `default` is None where there is none; `example` is TOML that could stand there."""

    section: str
    key: str
    sentence: str
    allowed: str
    default: Any
    example: str


def choices() -> tuple[Choice, ...]:
    """Every key of a recipe, in the order of the file."""
    return tuple(_choices(Recipe, ""))


def _choices(kind: type[BaseModel], section: str) -> Iterator[Choice]:
    """The keys of a section, then those of the sections inside it: TOML wants them in this order."""
    inner = []
    for key, field in kind.model_fields.items():
        if found := section_class(field.annotation):
            inner.append((f"{section}.{key}" if section else key, found))
        else:
            yield _choice(section, key, field)
    for name, found in inner:
        yield from _choices(found, name)


def section_sentence(section: str) -> str:
    """What a section is about: the first paragraph of its class."""
    found: Any = Recipe
    for part in section.split("."):
        found = found.model_fields[part].annotation
    return (found.__doc__ or "").split("\n\n")[0].strip()


def explained(values: Mapping[str, Any]) -> str:
    """The text of a rowsmith.toml in which `values` (a recipe's dict, as far as it is chosen) are set.

    Keys that are not chosen stand there as comments with their default, so that the file states what it changes.
    """
    lines = [*_comment(TOP), ""]
    section = ""
    for choice in choices():
        if choice.section != section:
            section = choice.section
            lines += ["", f"[{section}]", *_comment(section_sentence(section)), ""]
        chosen = _section_of(values, section)
        lines += _comment(f"{choice.sentence} ({choice.allowed})")
        if choice.key in chosen:
            lines.append(f"{choice.key} = {to_toml(chosen[choice.key])}")
        else:
            lines.append(f"# {choice.key} = {choice.example}")
    return "\n".join(lines) + "\n"


def _section_of(values: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    for part in section.split(".") if section else ():
        values = values.get(part, {})
    return values


def to_toml(value: Any) -> str:
    """A value of a recipe as TOML; JSON writes the same text, numbers, booleans and lists."""
    if isinstance(value, Mapping):
        pairs = ((key, item) for key, item in value.items() if item is not None)  # TOML has no null
        return "{" + ", ".join(f"{json.dumps(key)} = {to_toml(item)}" for key, item in pairs) + "}"
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from textwrap.wrap(line, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _choice(section: str, key: str, field: FieldInfo) -> Choice:
    default = field.get_default(call_default_factory=True)
    plain: JsonObject = json.loads(json.dumps({"default": default}))
    value = plain["default"]
    example = to_toml(_example(field) if value is None else value)
    sentence = (field.description or "").strip()
    return Choice(section, key, sentence[:1].upper() + sentence[1:], _allowed(field), value, example)


def _allowed(field: FieldInfo) -> str:
    """What may stand there, in words: the type, and the bounds that the field declares."""
    bounds = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = [
        f"{word} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, word in bounds.items()
        if hasattr(rule, name)
    ]
    return ", ".join([_type_in_words(field.annotation), *limits])


def _type_in_words(annotation: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    if section_class(annotation) is not None:
        return "the keys of such a section"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _one_of([member.value for member in annotation])
    if section_class(annotation):
        return "what is said of it"
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _one_of(inside)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_in_words(item) for item in inside if item is not type(None))
    if origin is tuple:
        return "a list of texts" if inside[0] is str else f"a list of {len(inside)} numbers"
    return f"a table of names, each with {_type_in_words(inside[1])}"


def _one_of(values: Any) -> str:
    return "one of " + ", ".join(json.dumps(value) for value in values)


def _example(field: FieldInfo) -> Any:
    """A value that could stand there, for a key that has no default: the first example, or the first choice."""
    if field.examples:
        return field.examples[0]
    kind = next(item for item in get_args(field.annotation) if item is not type(None))
    if kind is bool:
        return True
    return get_args(kind)[0] if get_origin(kind) is Literal else next(iter(kind)).value
