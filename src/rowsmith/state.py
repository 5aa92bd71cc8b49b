"""State: what a component is when it is not running. An inert tree that can be written, read and audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rowsmith.types import Array, JsonObject


@dataclass(frozen=True, slots=True)
class State:
    """`kind` names the class that can restore it (an allow-list decides, never an import path).

    `data` is JSON (finite or not, floats keep every bit), `arrays` hold no objects, `blobs` are a library's
    own binary formats (a booster). Names of children, arrays and blobs are lower-case letters, digits, `_`, `-`.
    """

    kind: str
    data: JsonObject = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    children: Mapping[str, State] = field(default_factory=dict)
