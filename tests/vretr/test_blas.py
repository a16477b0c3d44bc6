"""NumPy multiplies in one thread within the block, and in as many as before after it."""

import numpy as np
from threadpoolctl import threadpool_info

from vretr.blas import FEW, blas_threads_for, one_blas_thread


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_thread_within_the_block_only() -> None:
    before = blas_threads()
    with one_blas_thread():
        assert blas_threads() <= {1}
    assert blas_threads() == before


def test_few_sentences_get_one_thread() -> None:
    before = blas_threads()
    with blas_threads_for(FEW):
        assert blas_threads() <= {1}
    with blas_threads_for(FEW + 1):
        assert blas_threads() == before
