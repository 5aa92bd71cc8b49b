"""The REST API. One file a subject; `BLUEPRINTS` is the list of them, `HOT` that of the addresses that are
answered before Flask."""

from __future__ import annotations

from rowsmith.serving.api import audit, champions, jobs, labels, models, operations, predict, traffic

BLUEPRINTS = (
    predict.blueprint,
    labels.blueprint,
    models.blueprint,
    champions.blueprint,
    operations.blueprint,
    audit.blueprint,
    traffic.blueprint,
    jobs.blueprint,
)

HOT = (predict.HOT,)
