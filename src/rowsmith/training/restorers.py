"""Every kind of State that this room can restore."""

from __future__ import annotations

from collections.abc import Mapping

from rowsmith.training import calibration, families
from rowsmith.training.families.base import Restorer

RESTORERS: Mapping[str, Restorer] = {**families.RESTORERS, **calibration.RESTORERS}
