"""N-grams of characters and words, as 64-bit hashes, for many short texts at once.

Hashing is a polynomial in the code points modulo 2^64, so it is the same on every machine and in every process. The
text itself is not kept anywhere: a saved model holds hashes, and so no words of the people it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rowsmith.types import Array, Rows

Hashes = npt.NDArray[np.uint64]

CHARACTER_SIZES = (3, 4)
LONGEST_TEXT = 4_000
"""Characters of a text that are read; the rest is ignored."""
ASCII = 128
_BASE = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd
_SALT = 0xD1B54A32D192ED03
_POWERS = np.array([pow(_BASE, k, 1 << 64) for k in range(256)], dtype=np.uint64)
_BLANK, _WORD, _DIGIT, _UPPER, _OTHER = range(5)


def _character_classes() -> npt.NDArray[np.uint8]:
    """The class of each ASCII character; all others count as parts of words, which holds for letters of any script."""
    classes = np.full(ASCII + 1, _OTHER, dtype=np.uint8)
    for code in range(ASCII):
        character = chr(code)
        if character.isspace():
            classes[code] = _BLANK
        elif character.isdigit():
            classes[code] = _DIGIT
        elif character.isalpha():
            classes[code] = _UPPER if character.isupper() else _WORD
    classes[ASCII] = _WORD
    return classes


_CLASSES = _character_classes()
_IS_IN_WORD = np.isin(_CLASSES, (_WORD, _DIGIT, _UPPER))


def normalised(text: str) -> str:
    """Blanks collapsed, too long a text cut."""
    return " ".join(text[:LONGEST_TEXT].split())


def ngrams(texts: Sequence[str]) -> tuple[Rows, Hashes]:
    """The n-grams of normalised texts in lower case, as often as they occur: the row of each, and its hash."""
    padded = [f" {text.lower()} " for text in texts]
    codes = _code_points(padded)
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    rows = np.repeat(np.arange(len(padded)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))
    found = [_character_ngrams(codes, rows, left, size) for size in CHARACTER_SIZES]
    words, word_rows = _words(codes, rows)
    found.append((word_rows, words))
    same_text = word_rows[1:] == word_rows[:-1]
    pairs = words[:-1] * _POWERS[1] + words[1:] * _POWERS[2] + np.uint64(_SALT)
    found.append((word_rows[1:][same_text], pairs[same_text]))
    return np.concatenate([rows for rows, _ in found]), np.concatenate([hashes for _, hashes in found])


def _code_points(texts: Sequence[str]) -> Hashes:
    return np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)


def _character_ngrams(codes: Hashes, rows: Rows, left: Rows, size: int) -> tuple[Rows, Hashes]:
    """Of `size` neighbouring characters of one text; `left` counts the characters from each to the end of its text."""
    if len(codes) < size:
        return rows[:0], codes[:0]
    last = len(codes) - size + 1
    hashes = codes[:last] * _POWERS[size]
    for k in range(1, size):
        hashes += codes[k : last + k] * _POWERS[size + k]
    inside = left[:last] >= size
    return rows[:last][inside], hashes[inside]


def _words(codes: Hashes, rows: Rows) -> tuple[Hashes, Rows]:
    """Runs of letters and digits. Texts begin and end with a blank, so no word reaches from one into the next."""
    in_word = _IS_IN_WORD[np.minimum(codes, ASCII)]
    starts = np.flatnonzero(in_word[1:] & ~in_word[:-1]) + 1
    if not len(starts):
        return codes[:0], rows[:0]
    ends = np.flatnonzero(in_word[:-1] & ~in_word[1:]) + 1
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    place_in_word = np.arange(lengths.sum()) - np.repeat(offsets, lengths)
    terms = codes[in_word] * _POWERS[(place_in_word + 16) % len(_POWERS)]
    return np.add.reduceat(terms, offsets), rows[starts]


def shape_of_texts(texts: Sequence[str]) -> Array:
    """Per normalised text: characters, words, shares of digits, capitals and punctuation; float64, (rows, 5)."""
    padded = [f"{text} " for text in texts]
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    rows = np.repeat(np.arange(len(padded)), lengths)
    classes = _CLASSES[np.minimum(_code_points(padded), ASCII)]
    counts = np.bincount(rows * 5 + classes, minlength=5 * len(padded)).reshape(-1, 5)
    characters = lengths - 1
    shares = counts[:, [_DIGIT, _UPPER, _OTHER]] / np.maximum(characters, 1)[:, None]
    return np.column_stack([characters, counts[:, _BLANK], shares])


SHAPES = ("characters", "words", "digits", "capitals", "punctuation")
