"""Sentences whose words are not all of the vocabulary, through a tower in NumPy."""

from typing import Protocol

import numpy as np

from vretr.blas import blas_threads_for
from vretr.encoders.prompts import Prompts
from vretr.encoders.words.arrays import Array, Ids

AT_ONCE, TOKENS_AT_ONCE = 64, 1024  # sentences, tokens


class Tower(Protocol):
    """Token ids [B, L], or embeddings [B, L, width] in their place, to vectors [B, dim]."""

    def embeddings(self, ids: Ids) -> Array: ...

    def __call__(self, ids: Ids, words: Array | None = None) -> Array: ...


def read(tower: Tower, prompts: Prompts, words: Array, *, context: int | None = None) -> Array:
    """Vectors [B, dim] of sentences, at least one, as the tower gives them.

    Args:
        tower: what reads.
        prompts: B sentences with P places.
        words: [P, width], what stands in the places.
        context: how long the tower wants its sentences; None: as short as they are.
    """
    order, parts = [], []
    with blas_threads_for(len(prompts)):
        for rows, places, part in prompts.batches(TOKENS_AT_ONCE):
            ids = part.ids if context is None else part.padded(context).ids
            embeddings = tower.embeddings(ids)
            embeddings[part.rows, part.columns] = words[places]
            order.append(rows)
            parts.append(tower(ids, embeddings))
    return np.concatenate(parts)[np.argsort(np.concatenate(order))]
