"""Secrets: values that are named where they are used, `${NAME}` or `${file:PATH}`, and shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from rowsmith.errors import RecipeError

REFERENCE = re.compile(r"\$\{(file:)?([^{}]+)\}")
HIDDEN = "***"
# Hiding a letter wherever it stands would garble a message and give the letter away.
SHORTEST_HIDDEN = 3


class Secrets:
    """`environment` is where `${NAME}` is looked up; paths of `${file:PATH}` start from `root`.

    Every value that was looked up is remembered, so that `hide` can take it out of what others wrote.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, root: Path = Path()) -> None:
        self._environment = environment or {}
        self._root = root
        self._values: set[str] = set()

    def __repr__(self) -> str:
        return "Secrets()"

    def fill(self, text: str, *, where: str) -> str:
        """The text with every reference replaced by its value, written as an address wants it where text surrounds it.

        `where` names the option for people. Raises RecipeError for a variable or file that is not there.
        """
        if whole := REFERENCE.fullmatch(text):
            return self._value(whole, where)
        in_address = "://" in text
        return REFERENCE.sub(lambda found: _written(self._value(found, where), in_address=in_address), text)

    def keep(self, value: str) -> None:
        """A secret that came some other way, such as a password typed into an address."""
        self._values.add(value)

    def hide(self, text: str) -> str:
        """The text with *** for every secret in it, also where it is written as an address or in quotes wants it."""
        spellings = {form for value in self._values for form in (value, quote(value, safe=""), quote_plus(value))}
        for spelling in sorted(spellings, key=len, reverse=True):
            if len(spelling) >= SHORTEST_HIDDEN:
                text = text.replace(spelling, HIDDEN)
        return text

    def _value(self, reference: re.Match[str], where: str) -> str:
        value = self._from_file(reference[2], where) if reference[1] else self._from_environment(reference[2], where)
        self.keep(value)
        return value

    def _from_environment(self, name: str, where: str) -> str:
        if name not in self._environment:
            raise RecipeError(
                f"the environment has no variable {name}",
                where=where,
                next_step=f"set it, or name a file that holds the value: ${{file:PATH}} instead of ${{{name}}}",
            )
        return self._environment[name]

    def _from_file(self, name: str, where: str) -> str:
        path = self._root / Path(name).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no text"
            raise RecipeError(
                f"the file of this secret cannot be read: {reason}",
                where=where,
                received=str(path),
                next_step="write the value, and nothing else, into that file",
            ) from problem


def _written(value: str, *, in_address: bool) -> str:
    return quote(value, safe="") if in_address else value
