"""Pending: what has to be durable before an answer is given, and what is done once it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from rowsmith.serving.steps import step

Act: TypeAlias = Callable[[], Any]
OnSettled: TypeAlias = Callable[[Exception | None], object]
"""Told None when the answer may be given, else why not."""


@dataclass(slots=True)
class Pending:
    """`keep` appends to the log: it returns when the entries are durable or, where it is given somebody to tell,
    before. None where nothing is kept."""

    keep: Callable[..., None] | None = None
    then: list[Act] = field(default_factory=list)
    """Done, in order, once the entries are durable."""

    def settle(self) -> None:
        """Raises StorageError: the answer must not be given."""
        if self.keep is not None:
            with step("log"):
                self.keep()
        self._finish()

    def settle_later(self, tell: OnSettled) -> None:
        """May return before anything is told, which then is done in some other thread."""
        if self.keep is None:
            self._told(tell, None)
        else:
            self.keep(tell=partial(self._told, tell))

    def _told(self, tell: OnSettled, problem: Exception | None) -> None:
        if problem is None:
            try:
                self._finish()
            except Exception as failure:
                # At the edge of a thread that knows nothing of the request: it has to be told whatever happened.
                problem = failure
        tell(problem)

    def _finish(self) -> None:
        for act in self.then:
            act()
