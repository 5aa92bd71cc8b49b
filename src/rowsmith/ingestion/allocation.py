"""Sharing rows out: by class, and by group."""

from __future__ import annotations

import numpy as np

from rowsmith.types import Array, Rows


def share_of_classes(classes: Rows, share: float, random: np.random.Generator) -> Array:
    """Which rows are chosen: `share` of them, and of each class as nearly as whole rows allow; shape (rows,), boolean.

    At least one row of each class is left, and at least one row is chosen where there are two.
    """
    codes, sizes = np.unique(classes, return_counts=True)
    quotas = np.minimum(_largest_remainders(sizes * share, round(len(classes) * share), random), sizes - 1)
    if not quotas.sum():
        # A table of tiny classes: the largest spares a row; of classes of one row each, the last one does.
        quotas[sizes.argmax() if sizes.max() > 1 else -1] = 1
    chosen = np.zeros(len(classes), dtype=bool)
    for code, quota in zip(codes, quotas, strict=True):
        chosen[random.permutation(np.flatnonzero(classes == code))[:quota]] = True
    return chosen


def deal_classes(classes: Rows, bins: int, random: np.random.Generator) -> Rows:
    """The bin of each row, 0..bins-1: rows are shuffled and dealt class after class, as cards are."""
    order = random.permutation(len(classes))
    if len(classes) and classes.min() >= 0 and classes.max() < 2**16:
        classes = classes.astype(np.uint16)  # numpy sorts short integers in linear time
    order = order[np.argsort(classes[order], kind="stable")]
    dealt = np.empty(len(classes), dtype=np.int64)
    dealt[order] = np.arange(len(classes)) % bins
    return random.permutation(bins)[dealt]


def allocate_groups(groups: Rows, classes: Rows, shares: Array, random: np.random.Generator) -> Rows:
    """The bin of each row, whole groups at a time, each bin near its share of every class. No bin stays empty
    where there are as many groups as bins.

    Greedy, largest groups first: a group goes where it brings the bins nearest to their shares (as in
    scikit-learn's StratifiedGroupKFold).
    """
    names, members = np.unique(groups, return_inverse=True)
    codes, class_of = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(names), len(codes)))
    np.add.at(counts, (members, class_of), 1)
    wanted = shares[:, None] * counts.sum(axis=0)
    # Rare classes weigh as much as common ones, and all of them together as much as the number of rows.
    scale = 1 / np.maximum(counts.sum(axis=0), 1) ** 2
    sizes = counts.sum(axis=1)
    order = random.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros_like(wanted)
    bin_of = np.empty(len(names), dtype=np.int64)
    for place, group in enumerate(order):
        candidates = _empty_bins(filled) if len(order) - place <= len(_empty_bins(filled)) else np.arange(len(shares))
        # What adding this group changes in the squared distance from the shares.
        added = counts[group]
        change = ((2 * (filled[candidates] - wanted[candidates]) + added) * added * scale).sum(axis=1)
        chosen = candidates[int(change.argmin())]
        filled[chosen] += added
        bin_of[group] = chosen
    return bin_of[members]


def _empty_bins(filled: Array) -> Rows:
    return np.flatnonzero(filled.sum(axis=1) == 0)


def _largest_remainders(ideal: Array, total: int, random: np.random.Generator) -> Rows:
    """Whole numbers near `ideal` that sum to `total` (Hamilton's method); equal remainders are drawn by lot."""
    quotas = np.floor(ideal).astype(np.int64)
    rest = total - int(quotas.sum())
    if rest > 0:
        remainders = ideal - quotas
        order = np.lexsort((random.random(len(ideal)), -remainders))
        quotas[order[:rest]] += 1
    return quotas
