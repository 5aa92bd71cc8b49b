"""The pages. One file a subject; `BLUEPRINTS` is the list of them."""

from __future__ import annotations

from rowsmith.serving.pages import batch, data, home, monitoring, predict, reference, sign_in, traffic, versions
from rowsmith.serving.pages.layout import prepare

BLUEPRINTS = (
    home.blueprint,
    predict.blueprint,
    batch.blueprint,
    versions.blueprint,
    monitoring.blueprint,
    traffic.blueprint,
    data.blueprint,
    reference.blueprint,
    sign_in.blueprint,
)

__all__ = ["BLUEPRINTS", "prepare"]
