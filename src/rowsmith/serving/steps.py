"""Steps: what of a request takes how long, told to whoever listens to this request, and to nobody as a rule."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TypeAlias

Listener: TypeAlias = Callable[[str], AbstractContextManager[object]]

LISTENER: ContextVar[Listener | None] = ContextVar("rowsmith_steps", default=None)
NOBODY: AbstractContextManager[object] = nullcontext()


def step(name: str) -> AbstractContextManager[object]:
    """`with step("predict"): ...` says what goes on inside. Costs a tenth of a microsecond where nobody listens."""
    listener = LISTENER.get()
    return NOBODY if listener is None else listener(name)
