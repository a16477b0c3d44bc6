"""From a name to an Encoder. The module that builds it, and torch, are imported when needed."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from vretr.encoders.names import GROUP, Precision, Spec, parse
from vretr.errors import MismatchError
from vretr.paths import display

if TYPE_CHECKING:
    from vretr.encoders.base import Encoder


def load_encoder(
    name: str | Path, *, device: str = "auto", precision: Precision = "auto"
) -> "Encoder":
    """The encoder of that name; `vretr.encoders.names` has the grammar.

    Weights that are not on this machine are fetched, with a warning that says size and licence,
    unless the network is off; `vretr.encoders.files` says where they are looked for.

    Args:
        name: a name, or the path of a Run.
        device: "auto" (CUDA, else Apple's, else the processor) or one of torch's names.
        precision: of the arithmetic. "auto" takes bf16 where that is faster; vectors are float32.

    Raises:
        UsageError: no such name; weights that do not belong to the architecture.
        MismatchError: a path that is no Run, or a Run that holds no encoder.
        VretrError: weights that are not here and cannot be fetched, or cannot be read.
    """
    spec = parse(name)
    if spec.pooling:
        from vretr.encoders.pooled import Pooled

        return Pooled(spec, device=device, precision=precision)
    if spec.kind == "lite":
        from vretr.encoders.lite import Lite, terms

        terms.say_once(spec.model)
        heads = terms.heads(spec.model)
        return Lite(
            device=device, precision=precision, heads=heads, weights=spec.path, name=spec.name
        )
    if spec.kind == "run":
        return _from_run(spec, device)
    if spec.kind == "plugin":
        (point,) = entry_points(group=GROUP, name=spec.model)
        return point.load()(device=device, precision=precision)
    if spec.kind == "timm":
        from vretr.encoders.pictures import Pictures

        return Pictures(spec, device=device, precision=precision)
    from vretr.encoders.openclip import OpenClip

    return OpenClip(spec, device=device, precision=precision)


def _from_run(spec: Spec, device: str) -> "Encoder":
    from vretr.training.run import Run

    assert spec.path is not None
    run = Run.open(spec.path)
    if run.kind != "encoder":
        raise MismatchError(f"The Run {display(spec.path)} holds a {run.kind}, not an encoder.")
    return run.load(device=device)
