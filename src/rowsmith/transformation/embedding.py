"""Text to a few numbers: weighted n-grams, then their strongest directions.

TF-IDF with logarithmic counts, then a truncated singular value decomposition: latent semantic analysis (Deerwester et
al. 1990, doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9), computed by random projection (Halko,
Martinsson, Tropp 2011, doi:10.1137/090771806).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rowsmith.state import State
from rowsmith.transformation.ngrams import Hashes, ngrams
from rowsmith.types import Array, Matrix, Rows, Vector

MAX_VOCABULARY = 20_000
MAX_FITTED_TEXTS = 8_000
MAX_FITTED_CHARACTERS = 2_000_000
CHUNK_CHARACTERS = 500_000
OVERSAMPLING = 10
POWER_ITERATIONS = 2
# A table, since a vectorised logarithm need not give the same bits for one element as for many.
LOG_COUNTS = 1 + np.log(np.arange(1, 1025))


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """`vocabulary` holds the hashes of known n-grams, ascending; `directions` has shape (n-grams, dimensions)."""

    kind: ClassVar[str] = "text_embedding"

    vocabulary: Hashes
    weights: Vector
    directions: Matrix
    _factors: Array = field(init=False, repr=False)

    @classmethod
    def fit(cls, texts: Sequence[str], dimensions: int, seed: int = 0) -> TextEmbedding | None:
        """Different normalised texts. None where they have nothing in common."""
        from scipy import sparse  # here: a model without text starts without it

        generator = np.random.default_rng(seed)
        texts = _sample(texts, generator)
        rows, hashes = ngrams(texts)
        vocabulary, frequency = _choose_vocabulary(rows, hashes, len(texts))
        if not len(vocabulary):
            return None
        weights = 1 + np.log((1 + len(texts)) / (1 + frequency))
        counts = _weighted_counts(rows, hashes, len(texts), vocabulary, weights)
        norms = _norms(counts)
        matrix = sparse.diags_array(1 / np.where(norms > 0, norms, 1)) @ counts
        # The bits must not depend on how many threads this machine gives to BLAS.
        with threadpool_limits(1, user_api="blas"):
            directions = _strongest_directions(matrix.astype(np.float32), dimensions, generator)
        return cls(vocabulary, weights, directions.astype(np.float32))

    def __post_init__(self) -> None:
        # The product with a row is one of doubles in C order, and would copy anything else each time.
        object.__setattr__(self, "_factors", np.ascontiguousarray(self.directions, dtype=np.float64))

    @property
    def dimensions(self) -> int:
        return int(self.directions.shape[1])

    def embed(self, texts: Sequence[str]) -> Array:
        """Normalised texts to float64, shape (texts, dimensions); each text on its own, whatever the others are."""
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        chunks = np.split(np.arange(len(texts)), np.flatnonzero(np.diff(np.cumsum(lengths) // CHUNK_CHARACTERS)) + 1)
        return np.concatenate([self._embed_chunk([texts[i] for i in chunk]) for chunk in chunks])

    def _embed_chunk(self, texts: Sequence[str]) -> Array:
        rows, hashes = ngrams(texts)
        counts = _weighted_counts(rows, hashes, len(texts), self.vocabulary, self.weights)
        norms = _norms(counts)
        # A sparse product adds up each row in order; a dense one (BLAS) would depend on the number of rows.
        return np.asarray(counts @ self._factors) / np.where(norms > 0, norms, 1)[:, None]

    def to_state(self) -> State:
        arrays: dict[str, Array] = {"vocabulary": self.vocabulary, "weights": self.weights}
        return State(self.kind, arrays=arrays | {"directions": self.directions})

    @classmethod
    def from_state(cls, state: State, parts: Mapping[str, Any]) -> TextEmbedding:
        arrays = state.arrays
        return cls(arrays["vocabulary"], arrays["weights"], arrays["directions"])


def _sample(texts: Sequence[str], generator: np.random.Generator) -> Sequence[str]:
    """A random part where they are many or long, in their order: what it costs must not depend on the table."""
    drawn = generator.permutation(len(texts))[:MAX_FITTED_TEXTS]
    characters = np.cumsum([len(texts[i]) for i in drawn])
    kept = max(int(np.searchsorted(characters, MAX_FITTED_CHARACTERS)), 1)
    return [texts[i] for i in np.sort(drawn[:kept])]


def _choose_vocabulary(rows: Rows, hashes: Hashes, texts: int) -> tuple[Hashes, Vector]:
    """The n-grams that occur in the most texts, though not in all, and in how many they do."""
    known, place = np.unique(hashes, return_inverse=True)
    pairs = np.sort(rows * len(known) + place)  # np.unique would hash them, ten times slower
    first = np.diff(pairs, prepend=-1) > 0
    frequency = np.bincount(pairs[first] % max(len(known), 1), minlength=len(known))
    useful = np.flatnonzero((frequency >= 2) & (frequency < texts))
    if len(useful) > MAX_VOCABULARY:
        most_frequent = np.argsort(-frequency[useful], kind="stable")[:MAX_VOCABULARY]
        useful = np.sort(useful[most_frequent])
    return known[useful], frequency[useful].astype(np.float64)


def _weighted_counts(rows: Rows, hashes: Hashes, texts: int, vocabulary: Hashes, weights: Vector) -> Any:
    """Sparse, shape (texts, vocabulary), columns ascending within each row."""
    from scipy import sparse

    columns = np.searchsorted(vocabulary, hashes)
    columns[columns == len(vocabulary)] = 0
    known = vocabulary[columns] == hashes
    cells, counts = np.unique(rows[known] * len(vocabulary) + columns[known], return_counts=True)
    cell_rows, cell_columns = np.divmod(cells, len(vocabulary))
    values = LOG_COUNTS[np.minimum(counts, len(LOG_COUNTS)) - 1] * weights[cell_columns]
    starts = np.searchsorted(cell_rows, np.arange(texts + 1))
    return sparse.csr_array((values, cell_columns, starts), shape=(texts, len(vocabulary)))


def _norms(matrix: Any) -> Vector:
    """Euclidean length of each row; `bincount` adds in order, where `sum` would add in pairs."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.sqrt(np.bincount(rows, weights=matrix.data**2, minlength=matrix.shape[0]))


def _strongest_directions(matrix: Any, dimensions: int, generator: np.random.Generator) -> Array:
    """Right singular vectors, shape (columns, dimensions), signs fixed so that the largest entry is positive."""
    dimensions = min(dimensions, *matrix.shape)
    width = min(dimensions + OVERSAMPLING, *matrix.shape)
    basis = generator.standard_normal((matrix.shape[1], width), dtype=np.float32)
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(matrix @ basis)[0]
        basis = np.linalg.qr(matrix.T @ basis)[0]
    basis = np.linalg.qr(matrix @ basis)[0]
    directions: Array = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)[2][:dimensions].T
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(dimensions)]
    return directions * np.where(largest < 0, -1, 1)
