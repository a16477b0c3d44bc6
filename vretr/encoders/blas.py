"""How many threads NumPy multiplies with."""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Within this block NumPy multiplies in the calling thread alone.

    For small products beside a network that wants every core: after a product OpenBLAS's threads
    spin for some 25 ms in wait of the next, which cost `lite` a fifth of its photos a second.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
