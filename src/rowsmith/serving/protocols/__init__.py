"""Protocols that clients of other servers speak already. One file a protocol; `BLUEPRINTS` is the list of them.

All of them hand rows to `predictor.answer_rows`, so that the log, the metrics and the traffic rules hold for each.
"""

from __future__ import annotations

from rowsmith.serving.protocols import inference, scoring

BLUEPRINTS = (inference.blueprint, scoring.blueprint)
HOT = (scoring.HOT,)
