"""Traffic rules: one in force at a time, seen by every process, ended by whatever changes the champion."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rowsmith.errors import NotFoundError, StorageError, UsageError
from rowsmith.registry.traffic import Rule, Traffic, TrafficEvent
from rowsmith.registry.versions import Registry
from rowsmith.state import State
from rowsmith.storage import archive, audit
from rowsmith.storage.database import Database, open_database
from tests.registry.test_ledger import VERSIONS, promote, rollback, void


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    made = Registry(database, tmp_path / "versions")
    for _ in range(VERSIONS):
        made.add(
            "m", lambda folder: void(archive.write(folder / "model", State("x"))), lineage={}, metric="rmse", score=1.0
        )
    return made


@pytest.fixture
def traffic(database: Database) -> Traffic:
    return Traffic(database)


def begin(traffic: Traffic, kind: Any = "canary", challenger: int = 2, **options: Any) -> TrafficEvent:
    values: dict[str, Any] = {"share": 0.1, "reason": "try it", "actor": "ada"}
    return traffic.begin("m", kind, challenger, **(values | options))


def test_a_rule_is_in_force_until_it_is_ended(registry: Registry, traffic: Traffic) -> None:
    promote(registry, 1)
    event = begin(traffic, key="customer", slow_ms=40.0, alpha=0.01)
    rule = traffic.rule("m")
    assert rule == event.rule
    assert rule is not None
    assert (rule.kind, rule.champion, rule.challenger, rule.share) == ("canary", 1, 2, 0.1)
    assert (rule.key, rule.slow_ms, rule.alpha, rule.position) == ("customer", 40.0, 0.01, 1)
    ended = traffic.end("m", kind="roll back", reason="errors", actor="serve", evidence={"p": 0.001})
    assert ended is not None and ended.evidence == {"p": 0.001}
    assert traffic.rule("m") is None
    assert [event.kind for event in traffic.events("m")] == ["canary", "roll back"]
    with pytest.raises(NotFoundError, match="champion answers alone"):
        traffic.end("m", reason="", actor="")


def test_a_promotion_and_a_rollback_end_a_rule_for_good(registry: Registry, traffic: Traffic) -> None:
    promote(registry, 1)
    begin(traffic)
    promote(registry, 3)
    assert traffic.rule("m") is None
    rollback(registry)
    assert traffic.rule("m") is None  # 1 reigns again, and nobody asked for the canary to go on


def test_the_token_tells_of_every_change(registry: Registry, traffic: Traffic) -> None:
    tokens = [traffic.token("m")]
    promote(registry, 1)
    tokens.append(traffic.token("m"))
    begin(traffic)
    tokens.append(traffic.token("m"))
    traffic.end("m", reason="", actor="")
    tokens.append(traffic.token("m"))
    rollback_of_none = traffic.token("other")
    assert tokens == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert rollback_of_none == (0, 0)


def test_only_the_rule_that_was_judged_is_ended(registry: Registry, traffic: Traffic) -> None:
    promote(registry, 1)
    judged = begin(traffic, challenger=2).position
    begin(traffic, challenger=3)
    assert traffic.end("m", kind="roll back", reason="late", actor="serve", over=judged) is None
    rule = traffic.rule("m")
    assert rule is not None and rule.challenger == 3
    promote(registry, 4)
    assert traffic.end("m", kind="roll back", reason="late", actor="serve", over=rule.position) is None


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, 1.5, float("nan")])
def test_shares_that_make_no_sense(registry: Registry, traffic: Traffic, share: float) -> None:
    promote(registry, 1)
    with pytest.raises(UsageError, match="share of the traffic"):
        begin(traffic, share=share)
    assert traffic.events("m") == ()


def test_challengers_that_make_no_sense(registry: Registry, traffic: Traffic) -> None:
    with pytest.raises(NotFoundError, match="no champion yet"):
        begin(traffic)
    promote(registry, 1)
    with pytest.raises(UsageError, match="the champion itself"):
        begin(traffic, challenger=1)
    with pytest.raises(NotFoundError, match="no version 99"):
        begin(traffic, challenger=99)
    with pytest.raises(UsageError, match="false alarm"):
        begin(traffic, alpha=0.0)


def test_a_split_is_stable_and_a_larger_share_keeps_who_it_has(registry: Registry, traffic: Traffic) -> None:
    promote(registry, 1)
    small = begin(traffic, share=0.1).rule
    large = begin(traffic, share=0.3).rule
    other = begin(traffic, kind="split", share=0.3).rule
    assert small is not None and large is not None and other is not None
    keys = [f"customer {number}" for number in range(4000)]
    few = {key for key in keys if small.is_challengers(small.unit(key))}
    more = {key for key in keys if large.is_challengers(large.unit(key))}
    strangers = {key for key in keys if other.is_challengers(other.unit(key))}
    assert few < more
    assert 340 < len(few) < 460 and 1090 < len(more) < 1310
    # Another experiment sorts anew: who was in the one is no more likely to be in the other.
    assert 270 < len(more & strangers) < 450


def test_units_are_not_the_keys(registry: Registry, traffic: Traffic) -> None:
    first, second = Rule("split", 1, 2, salt="a"), Rule("split", 1, 2, salt="b")
    assert first.unit("ada@example.com") != second.unit("ada@example.com")
    assert len(Counter(first.unit(f"{number}") for number in range(1000))) == 1000
    promote(registry, 1)
    assert "salt" not in str(begin(traffic).to_dict())


def test_every_change_is_in_the_audit(registry: Registry, traffic: Traffic, database: Database) -> None:
    promote(registry, 1)
    begin(traffic)
    traffic.end("m", kind="roll back", reason="errors", actor="serve")
    lines = [(line.action, line.actor) for line in audit.lines(database)]
    assert lines[-2:] == [("traffic.canary", "ada"), ("traffic.roll_back", "serve")]


@pytest.mark.parametrize("change", ["UPDATE rowsmith_traffic SET kind = 'stop'", "DELETE FROM rowsmith_traffic"])
def test_events_are_never_changed(registry: Registry, traffic: Traffic, database: Database, change: str) -> None:
    promote(registry, 1)
    begin(traffic)
    with pytest.raises(StorageError, match="append-only"), database.writing() as connection:
        connection.execute(text(change))


def test_another_process_sees_the_same(registry: Registry, traffic: Traffic, database_url: str) -> None:
    promote(registry, 1)
    other = open_database(database_url)
    begin(Traffic(other))
    assert traffic.rule("m") == Traffic(other).rule("m") is not None
    other.close()
