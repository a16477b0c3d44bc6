"""Retrieval measures: recall@k, mAP@k, mAP, MAP@R, R-precision, median rank, MRR.

All of them follow from one thing, the ranks of the relevant items of each query (`Ranks`): rank 1
is the best, and every item of the gallery has a rank of its own. Ranks come from vectors
(`ranks_from_vectors`, `ranks_from_labels`; `rankings_from_vectors` gives several kinds of them by
one product), from a matrix of scores (`ranks_from_scores`) or from ranked lists
(`ranks_from_lists`). They are counted, not sorted for, so they are exact for every relevant item at
little more than the cost of the matrix product, and only a block of scores is held at a time.

Scores are rounded to 2**-20, about 1e-6 (the noise of a float32 product is below that), and equal
scores are put in order by the tie rule:

- `index`: by place in the gallery, the first comes first;
- `pessimistic`: relevant items come last, so a constant scorer earns nothing;
- `optimistic`: relevant items come first.

A query for which nothing is relevant ("lone") has no measure: it is left out, and counted.
"""

from vretr.metrics.counting import Question
from vretr.metrics.measures import (
    UNRANKED,
    Ranks,
    average_precision,
    average_precision_at,
    average_precision_at_r,
    figures,
    r_precision,
    recall_at,
    reciprocal_rank,
)
from vretr.metrics.ranking import (
    MEMORY,
    lists_from_vectors,
    rankings_from_vectors,
    ranks_from_labels,
    ranks_from_lists,
    ranks_from_scores,
    ranks_from_vectors,
)
from vretr.ties import Ties

__all__ = [
    "MEMORY",
    "UNRANKED",
    "Question",
    "Ranks",
    "Ties",
    "average_precision",
    "average_precision_at",
    "average_precision_at_r",
    "figures",
    "lists_from_vectors",
    "r_precision",
    "rankings_from_vectors",
    "ranks_from_labels",
    "ranks_from_lists",
    "ranks_from_scores",
    "ranks_from_vectors",
    "recall_at",
    "reciprocal_rank",
]
