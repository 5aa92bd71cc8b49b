"""Secrets: values that are named where they are used, `${NAME}` or `${file:PATH}`, and shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, quote_plus

from rowsmith.errors import RecipeError

REFERENCE = re.compile(r"\$\{(file:)?([^{}]+)\}")
HIDDEN = "***"
VARIABLE = "ROWSMITH_SECRET_FILES"
# Hiding a letter wherever it stands would garble a message and give the letter away.
SHORTEST_HIDDEN = 3


class Secrets:
    """`environment` is where `${NAME}` is looked up; paths of `${file:PATH}` start from `root`.

    A recipe may be somebody else's, and must not send just any file of this machine to an address of its own: files
    lie in `root` or in what `allowed` names (files and folders), wherever links lead, or are named in `typed`, which
    the user wrote himself. Every value that was looked up is remembered, so that `hide` can take it out of what
    others wrote.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        root: Path = Path(),
        *,
        allowed: Sequence[Path] = (),
        typed: str = "",
    ) -> None:
        self._environment = environment or {}
        self._root = root
        self._allowed = (root, *allowed)
        self._typed = {found[2] for found in REFERENCE.finditer(typed) if found[1]}
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
        self._require_allowed(name, path, where)
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

    def _require_allowed(self, name: str, path: Path, where: str) -> None:
        found = path.resolve()
        if name in self._typed or any(found.is_relative_to(folder.resolve()) for folder in self._allowed):
            return
        raise RecipeError(
            "a recipe may not read this file for a secret",
            where=where,
            received=str(path),
            allowed=f"files in {self._root.resolve()}, and those that {VARIABLE} names",
            next_step=f"if it is meant to be read, set {VARIABLE}={found} (files and folders, joined as in PATH)",
        )


def _written(value: str, *, in_address: bool) -> str:
    return quote(value, safe="") if in_address else value
