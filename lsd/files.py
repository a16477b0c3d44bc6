"""Detectors by name or from a file. No torch, but for files that only torch can read.

Only tensors are read: nothing in a file is run.
"""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lsd import port, tflite
from lsd.architecture import CELL, Channel
from lsd.detector import Detector
from lsd.folding import Folded, folded
from lsd.released import RELEASED, released
from vretr.errors import MismatchError, UsageError
from vretr.methods import near
from vretr.paths import display

SHIPPED = Path(__file__).with_name("weights")


def shipped() -> dict[str, Path]:
    """The networks that come with this package, by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.safetensors"))}


def load(model: Path | str = "tiny", *, device: str = "auto", **options: Any) -> Detector:
    """A detector.

    Args:
        model: `tiny`, which is shipped; `mlsd-tiny`, `mlsd-large` or `mlsd-tiny-320`, which are
            fetched from the authors' repository; a Run of `vretr train lsd`; or a file: of ours
            (.safetensors), of the authors (.tflite), of the PyTorch port (.pth).
        device: where it computes.
        options: of `Detector`.

    Raises:
        UsageError: there is no such name and no such file.
        MismatchError: a file that holds no network of M-LSD.
        VretrError: a released network is not here and cannot be fetched.
    """
    weights = read(model)
    given = RELEASED.get(str(model))
    size = {"size": given.size} if given else {}
    return Detector(weights, **{"name": str(model), "device": device, **size, **options})


def read(model: Path | str) -> Folded:
    """The folded weights of what `load` takes."""
    name, path = str(model), Path(model)
    if name in shipped():
        return _tensors(shipped()[name])
    if name in RELEASED:
        return from_borders(tflite.read(released(name)))
    if path.is_dir():
        from vretr.training import Run

        run = Run.open(path)
        if run.method != "lsd" or not run.weights.exists():
            raise MismatchError(f"{display(path)} is not a finished run of `vretr train lsd`.")
        return _tensors(run.weights)
    if not path.is_file():
        known = [*shipped(), *RELEASED]
        raise UsageError(f"There is no detector and no file {display(path)}; {near(name, known)}")
    if path.suffix == ".safetensors":
        return _tensors(path)
    return from_borders(tflite.read(path) if path.suffix == ".tflite" else port.read(path))


def from_borders(weights: Folded) -> Folded:
    """Of a network whose coordinates count from the middle of the first pixel, as the released
    ones' do: with the half pixel added that makes them count from its border, as those of `Lines`.

    On rendered scenes the released networks' ends lie 0.5 to 0.6 pixels of the input up and to the
    left of the true ones.
    """
    bias = weights["head_out.bias"].copy()
    for displacement in (Channel.DISPLACEMENT, Channel.SOL_DISPLACEMENT):
        bias[displacement] += 0.5 / CELL
    return {**weights, "head_out.bias": bias}


def _tensors(file: Path) -> Folded:
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise MismatchError(f"{display(file)} cannot be read: {error}.") from error
    return folded({name: np.asarray(tensor) for name, tensor in tensors.items()})
