"""Which device computes, and in how many bits. Vectors leave an encoder as float32 whatever it is.

Lower precision means: the large weights (linear layers, convolutions, attention) are stored and
multiplied in 16 bits, while the sums between the blocks and the norms stay in float32. That keeps
vectors within cosine 0.999 of float32; casting a whole network does not.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, get_args

from vretr.encoders.names import Precision
from vretr.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

WORTH_IT = 1.3  # how many times faster bf16 must multiply before `auto` takes it


def pick_device(name: str = "auto") -> "torch.device":
    """The device of that name; "auto" is CUDA, else Apple's, else the processor.

    Raises:
        UsageError: torch knows no such device, or this machine does not have it.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"The device {name!r} cannot be used here: {reason}.") from error
    return device


def pick_dtype(precision: Precision, device: "torch.device") -> "torch.dtype":
    """The dtype of the multiplications; "auto" is bf16 where `multiplies_bf16_fast`, else float32.

    Raises:
        UsageError: an unknown precision.
    """
    import torch

    checked(precision)
    if precision == "auto":
        precision = "bf16" if multiplies_bf16_fast(device.type) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def checked(precision: Precision) -> Precision:
    """The same precision.

    Raises:
        UsageError: there is no such precision.
    """
    if precision not in get_args(Precision):
        raise UsageError(
            f"There is no precision {precision!r}; there are {', '.join(get_args(Precision))}."
        )
    return precision


@cache
def multiplies_bf16_fast(device_type: str) -> bool:
    """Whether bf16 pays on this device. A processor is asked by multiplying, in some 20 ms.

    Names of instruction sets do not tell: some processors have them and gain nothing.
    """
    import torch

    if device_type == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)  # Ampere brought bf16 tensor cores
    if device_type != "cpu":
        return False
    return _seconds_to_multiply(torch.float32) >= WORTH_IT * _seconds_to_multiply(torch.bfloat16)


def _seconds_to_multiply(dtype: "torch.dtype") -> float:
    """The best of five products of a ViT-B/32 layer's size at batch 8: [400, 768] x [768, 768]."""
    import torch

    with torch.inference_mode():
        left, right = torch.ones(400, 768, dtype=dtype), torch.ones(768, 768, dtype=dtype)
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            torch.nn.functional.linear(left, right)
            best = min(best, time.perf_counter() - start)
    return best


def lower(module: "nn.Module", dtype: "torch.dtype") -> "nn.Module":
    """Stores a frozen module's large weights in `dtype`, in place; norms and embeddings stay.

    Autocast would convert them anew at every call otherwise.
    """
    import torch
    from torch import nn

    if dtype == torch.float32:
        return module
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            part.to(dtype)
        elif isinstance(part, nn.MultiheadAttention):
            for parameter in part.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    return module


@contextmanager
def computing(device: "torch.device", dtype: "torch.dtype") -> Iterator[None]:
    """Multiplies in `dtype` within this block; gradients are the caller's business."""
    import torch

    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        yield
