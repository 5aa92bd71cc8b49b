"""Structure: what rows have to do with each other. Splits inside a fold respect it, as the folds themselves do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rowsmith.types import Array, Rows


@dataclass(frozen=True, eq=False)
class Structure:
    """`blocks`, shape (rows,), are the codes of groups that stay together; or, with `is_ordered`, moments in time, of
    which only earlier ones may be looked at."""

    blocks: Rows
    is_ordered: bool = False

    def take(self, rows: Array) -> Structure:
        """That of some rows, by position or by a mask."""
        return Structure(np.asarray(self.blocks[rows]), self.is_ordered)


def inner_parts(rows: int, count: int, structure: Structure | None, seed: int) -> Rows:
    """The part, 0 to `count` - 1, that each row of a fold belongs to: drawn by the seed, rows of a group together;
    ordered by time, stretches of about as many rows each."""
    rng = np.random.default_rng(seed)
    if structure is None:
        return np.asarray(rng.permutation(rows) % count)
    blocks, place, counts = np.unique(structure.blocks, return_inverse=True, return_counts=True)
    if not structure.is_ordered:
        return np.asarray((rng.permutation(len(blocks)) % count)[place])
    passed = np.cumsum(counts) - counts
    return np.asarray((passed * count // max(rows, 1))[place])
