"""The contract of a file format. Runs over `FORMATS`, and the damaged files over every name that one of them claims."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources import read_frame
from rowsmith.ingestion.sources.formats import FORMATS, Format, known_extensions

DICE = random.Random(0)
NOISE = bytes(DICE.randrange(256) for _ in range(4096))


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
class TestEveryFormat:
    def test_says_what_it_is(self, kind: Format) -> None:
        assert kind.name.islower() and kind.title
        assert [other.name for other in FORMATS].count(kind.name) == 1
        assert all(extension.startswith(".") and extension == extension.lower() for extension in kind.extensions)

    def test_a_binary_format_knows_its_own_and_no_noise(self, kind: Format) -> None:
        if not kind.is_text:
            assert not kind.recognises(NOISE)
            assert not kind.recognises(b"a,b\n1,2\n")
            assert not kind.recognises(b"")


def test_no_two_formats_claim_a_name() -> None:
    assert len(set(known_extensions())) == len(known_extensions())


@pytest.mark.parametrize("content", [b"", NOISE, b"PAR1", b"PK\x03\x04", b"\x00" * 100], ids=len)
@pytest.mark.parametrize("extension", known_extensions())
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, extension: str, content: bytes) -> None:
    path = tmp_path / f"rows{extension}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"rows\\{extension}"):
        read_frame(path)
