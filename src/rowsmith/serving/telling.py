"""Telling whom ROWSMITH_ALERTS names of what a server did by itself, in a thread: nothing waits for a mail server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from rowsmith.errors import RowsmithError
from rowsmith.registry.traffic import TrafficEvent

logger = logging.getLogger("rowsmith.alerts")


def tell_of_roll_back(targets: Sequence[str], event: TrafficEvent) -> None:
    if targets:
        threading.Thread(target=_tell, args=(targets, event), name="rowsmith-alerts", daemon=True).start()


def _tell(targets: Sequence[str], event: TrafficEvent) -> None:
    from rowsmith.workflows.traffic import tell_of_roll_back as work  # here: it would slow the start of the server

    try:
        failures = work(event, targets)
    except RowsmithError as problem:
        failures = (str(problem),)
    for failure in failures:
        logger.error("nobody was told that version %s of %s was taken back: %s", event.challenger, event.name, failure)
