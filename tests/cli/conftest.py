"""Run a command line in this process and look at what came out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rowsmith.cli import main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document; fails when anything else is there."""
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture
def rowsmith(capfd: pytest.CaptureFixture[str]) -> Command:
    """`rowsmith("run", path, "--json")` answers exit code, standard output and standard error."""

    def run(*arguments: object) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ended(int(caught.value.code or 0), out, err)

    return run
