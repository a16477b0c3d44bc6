"""A φ as a file that LinCIR's own code reads: `vretr lincir-export runs/x --out phi_best.pt`."""

from typing import Any

from lincir.config import ExportConfig
from lincir.files import read
from vretr.errors import MismatchError
from vretr.paths import atomic_write, json_fields


def export(config: ExportConfig) -> list[dict[str, Any]]:
    """Writes `{"epoch", "Phi"}` with torch; the text tower is not in it.

    Returns:
        One row: where it was written, and the sizes of φ.

    Raises:
        MismatchError: a φ that LinCIR's code has no network for.
    """
    import torch

    found = read(config.source)
    phi = found.phi
    encoder = found.encoder or {}
    if phi.activation != "gelu" or len(phi.layers) != 3:
        raise MismatchError("Only φ of LinCIR's and SEARLE's kind has that form.")
    tensors = {}
    for number, layer in zip((0, 3, 6), phi.layers, strict=True):
        tensors[f"layers.{number}.weight"] = torch.from_numpy(layer.weight.copy())
        tensors[f"layers.{number}.bias"] = torch.from_numpy(layer.bias.copy())
    config.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(config.out) as file:
        torch.save({"epoch": int(found.about.get("step", 0)), "Phi": tensors}, file)
    return [{**json_fields(config.out), "dim": phi.dim, "width": phi.width, **encoder}]
