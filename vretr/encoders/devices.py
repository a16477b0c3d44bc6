"""Whether the processor computes, told without importing torch where that can be told without."""

import sys
from pathlib import Path


def is_processor(device: str) -> bool:
    """Whether `device` is the processor; "auto" is it where there is no GPU."""
    if device != "auto" or not _gpu_driver():
        return device in ("auto", "cpu")
    from vretr.encoders.precision import pick_device

    return pick_device().type == "cpu"


def _gpu_driver() -> bool:
    """Whether it is worth importing torch to ask for a GPU."""
    if sys.platform == "linux":
        drivers = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, Windows's for Linux
        return any(Path(driver).exists() for driver in drivers)
    return True
