"""How many threads NumPy multiplies with."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

FEW = 4  # sentences that one thread reads at least as fast as several


def one_blas_thread() -> AbstractContextManager[object]:
    """Within this block NumPy multiplies in the calling thread alone.

    For small products beside a network that wants every core: after a product OpenBLAS's threads
    spin for some 25 ms in wait of the next, which cost `lite` a fifth of its photos a second.
    """
    return _controller().limit(limits=1, user_api="blas")


def blas_threads_for(sentences: int) -> AbstractContextManager[object]:
    """Within this block NumPy multiplies in the threads that so many sentences are worth.

    Reading the weights takes the time of a few, and waiting threads only get in the way.
    """
    return one_blas_thread() if sentences <= FEW else nullcontext()


@cache
def _controller() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
