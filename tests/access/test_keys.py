"""Keys: shown once, kept as a hash, revoked for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from rowsmith.access.keyring import Keyring
from rowsmith.access.keys import PREFIX, KeyRole, KeyStore, digest_of
from rowsmith.errors import NotFoundError, StorageError, UsageError
from rowsmith.storage import audit
from rowsmith.storage.database import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


def test_only_the_hash_of_a_key_is_kept(store: KeyStore, database: Database) -> None:
    key, secret = store.create("ci", KeyRole.PREDICT, actor="ada", rate=60, lifetime=timedelta(days=2), now=NOW)
    assert secret.startswith(PREFIX) and len(secret) == len(PREFIX) + 43
    assert store.list() == (key,)
    assert (key.digest, key.expires, key.rate) == (digest_of(secret), NOW + timedelta(days=2), 60)
    with database.reading() as connection:
        everything = str(connection.execute(text("SELECT * FROM rowsmith_keys")).all())
        everything += str(connection.execute(text("SELECT * FROM rowsmith_audit")).all())
    assert secret not in everything and secret[len(PREFIX) :] not in everything


def test_two_keys_are_never_alike(store: KeyStore) -> None:
    made = {store.create(f"k{number}", KeyRole.PREDICT, actor="ada")[1] for number in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize("ref", ["ci", "1"])
def test_a_key_is_revoked_by_name_or_number_and_once(store: KeyStore, ref: str) -> None:
    store.create("ci", KeyRole.ADMIN, actor="ada")
    before = store.revision()
    assert store.revoke(ref, actor="bob", now=NOW).revoked == NOW
    assert store.revision() != before
    assert store.list()[0].revoked == NOW
    with pytest.raises(NotFoundError, match="rowsmith keys list"):
        store.revoke(ref, actor="bob")
    assert store.create("ci", KeyRole.ADMIN, actor="ada")[0].number == 2


def test_every_change_of_a_key_has_a_line(store: KeyStore, database: Database) -> None:
    store.create("ci", KeyRole.PREDICT, actor="ada", now=NOW)
    store.revoke("ci", actor="bob", now=NOW + timedelta(hours=1))
    found = [(line.actor, line.action, line.subject, line.time.hour) for line in audit.lines(database)]
    assert found == [("ada", "keys.create", "ci", 12), ("bob", "keys.revoke", "ci", 13)]


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "7", "naïve", "a\n"])
def test_names_that_no_key_can_have(store: KeyStore, name: str) -> None:
    with pytest.raises(UsageError, match="name of a key"):
        store.create(name, KeyRole.PREDICT, actor="ada")


@pytest.mark.parametrize("rate", [0, -1, 10**10])
def test_rates_that_make_no_sense(store: KeyStore, rate: int) -> None:
    with pytest.raises(UsageError, match="requests a minute"):
        store.create("ci", KeyRole.PREDICT, actor="ada", rate=rate)


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(days=-1), timedelta(days=40_000)])
def test_lifetimes_that_make_no_sense(store: KeyStore, lifetime: timedelta) -> None:
    with pytest.raises(UsageError, match="number of days"):
        store.create("ci", KeyRole.PREDICT, actor="ada", lifetime=lifetime)


def test_a_name_is_taken_while_its_key_is_in_force(store: KeyStore) -> None:
    store.create("ci", KeyRole.PREDICT, actor="ada")
    with pytest.raises(UsageError, match="rowsmith keys revoke ci"):
        store.create("ci", KeyRole.PREDICT, actor="ada")


def test_roles_grow() -> None:
    assert KeyRole.PREDICT < KeyRole.OPERATE < KeyRole.ADMIN
    assert [KeyRole.of(role.label) for role in KeyRole] == list(KeyRole)
    with pytest.raises(UsageError, match="predict, operate, admin"):
        KeyRole.of("root")


def test_the_audit_cannot_be_changed(database: Database, store: KeyStore) -> None:
    store.create("ci", KeyRole.PREDICT, actor="ada")
    for statement in (
        "UPDATE rowsmith_audit SET actor = 'eve'",
        "DELETE FROM rowsmith_audit",
        "INSERT OR REPLACE INTO rowsmith_audit VALUES (1, 0, 'eve', 'x', 'y', '{}')",
    ):
        with pytest.raises(StorageError), database.writing() as connection:
            connection.execute(text(statement))
    assert [line.actor for line in audit.lines(database)] == ["ada"]


def test_a_keyring_follows_the_store(store: KeyStore) -> None:
    ring = Keyring(lambda: store)
    try:
        key, secret = store.create("ci", KeyRole.PREDICT, actor="ada")
        assert ring.find(secret) == key and ring.numbered(1) == key
        assert ring.find(secret + "x") is None and ring.find("") is None and ring.numbered(2) is None
        _, other = store.create("two", KeyRole.OPERATE, actor="ada")
        store.revoke("ci", actor="ada")
        ring.refresh()
        assert ring.find(secret) is None and ring.numbered(1) is None
        assert ring.find(other) is not None
    finally:
        ring.close()
    assert store.list()[1].last_used is not None, "the last use is written down at the end at the latest"


def test_a_key_ends_by_itself(store: KeyStore) -> None:
    _, secret = store.create("ci", KeyRole.PREDICT, actor="ada", lifetime=timedelta(days=1), now=NOW)
    ring = Keyring(lambda: store)
    assert ring.find(secret) is None
    ring.close()


def test_known_keys_stay_in_force_while_the_database_is_away(store: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    _, secret = store.create("ci", KeyRole.PREDICT, actor="ada")
    ring = Keyring(lambda: store)
    assert ring.find(secret) is not None
    revision = store.revision

    def fails() -> tuple[int, int]:
        raise StorageError("away")

    store.revision = fails  # type: ignore[method-assign]
    ring.refresh()
    ring.refresh()
    assert ring.find(secret) is not None
    assert caplog.text.count("cannot be read") == 1, "said once, not with every look"
    store.revision = revision  # type: ignore[method-assign]
    ring.close()


def test_before_the_first_look_nobody_is_known() -> None:
    def fails() -> KeyStore:
        raise StorageError("away")

    ring = Keyring(fails)
    assert not ring.is_known
    ring.close()
