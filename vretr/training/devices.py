"""What a training computes on: device, number format, processes. Accelerate does the work."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, distributed

from vretr.errors import UsageError
from vretr.training.config import TrainConfig


def accelerator_for(config: TrainConfig) -> Accelerator:
    """Accelerate's view of devices and processes, for this config alone."""
    # It is a singleton: without this, a second training in one process would keep the first's.
    AcceleratorState._reset_state(reset_partial_state=not _among_others())
    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=_precision(config))
    if config.device not in ("auto", accelerator.device.type):
        raise UsageError(
            f"--device {config.device} is not there; torch has {accelerator.device.type}"
        )
    return accelerator


def device_of(config: TrainConfig) -> str:
    """The device that this process trains on, for what a method loads there before `fit`."""
    return str(accelerator_for(config).device)


def _precision(config: TrainConfig) -> str:
    """Accelerate's word for the number format."""
    cuda = config.device in ("auto", "cuda") and torch.cuda.is_available()
    if config.precision == "fp16" and not cuda:
        raise UsageError("--precision fp16 trains on CUDA only; take bf16 or fp32")
    if config.precision == "auto":
        return "bf16" if cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "no" if config.precision == "fp32" else config.precision


def gathered(features: Tensor) -> Tensor:
    """The features of all processes, [B of the whole batch, ...], with gradients for each's own.

    A loss that compares samples with one another, computed by every process from the gathered
    features, trains as on one process with the whole batch. Alone, it gives back `features`.
    """
    if not _among_others():
        return features
    from torch.distributed.nn.functional import all_gather

    whole = torch.cat(all_gather(features))
    if whole.requires_grad:
        # Its backward sends memory as it lies: a transposed gradient would arrive shuffled.
        whole.register_hook(Tensor.contiguous)
    return whole


def _among_others() -> bool:
    return distributed.is_available() and distributed.is_initialized()
