"""The learning rate over the steps, as a pure function: nothing to save, nothing to restore."""

import math


def lr_factor(step: int, *, steps: int, warmup: int, schedule: str) -> float:
    """Share of the highest learning rate that step `step` (1 … steps) uses; in [0, 1].

    Rises linearly to 1 at step `warmup`; from there `constant` stays, and `cosine` falls to 0
    behind the last step: (1 + cos(pi * t)) / 2 with t from 0 to 1 (Loshchilov and Hutter,
    arXiv:1608.03983, equation 5 without restarts).
    """
    if step <= warmup:
        return step / warmup
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - 1 - warmup) / (steps - warmup))) / 2
