"""CompoDiff from a Run, from what is shipped, or from the file that its authors released.

Only tensors and plain values are read: nothing in a file is run. No torch before the network is
used.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compodiff.composer import CompoDiff
from compodiff.conditions import Texts, Trained
from compodiff.config import TASKS, ComposerOptions
from vretr.encoders import Encoder, load_encoder
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.paths import display

if TYPE_CHECKING:
    from compodiff.making import Maker

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("weights")
RELEASED_FOR, RELEASED_WORDS = "ViT-L", "ViT-G"
RELEASED_LENGTH = 10.0  # about, of ViT-L's vectors, where an index has them at length 1


def load(path: Path | str, encoder: Encoder | None = None, *, device: str = "auto") -> CompoDiff:
    """The composer of a Run or a file.

    Args:
        encoder: that it is for; None: the one that it names.
        device: where encoder and network compute.

    Raises:
        MismatchError: it belongs to another encoder, or holds no CompoDiff.
    """
    path = Path(path)
    if encoder is None:
        encoder = load_encoder(backbone_of(path), device=device)
    return _composer(encoder, path, None, None, device=device)


def composer(
    encoder: Encoder,
    path: Path | None = None,
    *,
    picture_weight: float | None = None,
    prompt: str | None = None,
    options: ComposerOptions | None = None,
    device: str = "auto",
) -> CompoDiff | None:
    """The composer of a Run or file, or the shipped one for this encoder, if any.

    Raises:
        UsageError: a prompt is given; there is no such file.
        MismatchError: it belongs to another encoder, or holds no CompoDiff.
    """
    if path is None:
        path = next((file for file in shipped() if _is_for(about_of(file), encoder)), None)
        if path is None:
            return None
    if prompt is not None:
        raise UsageError("CompoDiff puts no picture into a sentence: it has no --prompt.")
    return _composer(encoder, path, options, picture_weight, device=device)


def shipped() -> list[Path]:
    """The networks that come with this package."""
    return sorted(SHIPPED.glob("*.safetensors"))


def backbone_of(path: Path) -> str:
    """The name of the encoder that a Run or file is for."""
    return (about_of(_weights(path)).get("encoder") or {}).get("name", RELEASED_FOR)


def about_of(file: Path) -> dict[str, Any]:
    """What vretr wrote into the header of a safetensors file; nothing of another kind of file.

    Raises:
        VretrError: it is damaged.
    """
    if file.suffix != ".safetensors":
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy") as opened:
            return json.loads((opened.metadata() or {}).get("vretr", "{}"))
    except (SafetensorError, ValueError, OSError) as problem:
        raise VretrError(f"{display(file)} cannot be read: {problem}.") from problem


def _composer(
    encoder: Encoder,
    path: Path,
    options: ComposerOptions | None,
    picture_weight: float | None,
    *,
    device: str,
) -> CompoDiff:
    file = _weights(path)
    about = about_of(file)
    if not about:
        return _released(encoder, file, options, picture_weight, device=device)
    trained = Trained.read(about, display(path))
    if not _is_for(about, encoder):
        raise MismatchError(
            f"The CompoDiff in {display(path)} was trained for "
            f"{(about.get('encoder') or {}).get('name')}, and {encoder.name} is another encoder."
        )

    def maker() -> "Maker":
        return _ours(file, trained, device)

    return CompoDiff(encoder, trained, maker, options=options, picture_weight=picture_weight)


def _ours(file: Path, trained: Trained, device: str) -> "Maker":
    from compodiff.making import Maker
    from compodiff.model import Prior
    from vretr.encoders.precision import pick_device
    from vretr.encoders.tensors import load_strictly
    from vretr.training.checkpoints import read

    tensors, _ = read(file)
    prior = Prior(**trained.prior)  # type: ignore[arg-type]
    load_strictly(prior, {name: value.float() for name, value in tensors.items()}, what="CompoDiff")
    return Maker(prior.eval().to(pick_device(device)), trained.scale)


def _released(
    encoder: Encoder,
    file: Path,
    options: ComposerOptions | None,
    picture_weight: float | None,
    *,
    device: str,
) -> CompoDiff:
    """The authors' own network; words by its own, larger text tower."""
    from compodiff.making import Maker
    from compodiff.released import read_released
    from vretr.encoders.precision import pick_device

    prior = read_released(file)
    if encoder.dim != prior.dim:
        raise MismatchError(
            f"The CompoDiff in {display(file)} makes vectors of {prior.dim} numbers for "
            f"{RELEASED_FOR}, and {encoder.name} has {encoder.dim}."
        )
    if encoder.name != RELEASED_FOR:
        log.warning(
            "%s does not say which encoder it is for: its authors' was %s, and this is %s.",
            *(display(file), RELEASED_FOR, encoder.name),
        )
    trained = Trained(
        prior=prior.settings,
        scale=RELEASED_LENGTH,
        normalise=False,
        tasks=TASKS,
        drops={"text": 0.1, "image": 0.1, "both": 0.1},  # from memory
        guidance=(1.5, 7.5),
        steps=10,
        mix=0.1,
    )
    return CompoDiff(
        encoder,
        trained,
        lambda: Maker(prior.to(pick_device(device)), RELEASED_LENGTH, "original"),
        options=options,
        picture_weight=picture_weight,
        texts=Texts.of(load_encoder(RELEASED_WORDS, device=device), "tokens"),
    )


def _weights(path: Path) -> Path:
    """The file with the weights of a Run; a file itself."""
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(f"There is no file {display(path)} with a CompoDiff.")
        return path
    if not (path / "run.json").exists():  # what the authors released, in its folder
        known = ("model.safetensors", "pytorch_model.bin")
        found = next((path / name for name in known if (path / name).is_file()), None)
        if found is None:
            raise MismatchError(f"{display(path)} holds neither a run nor a released CompoDiff.")
        return found
    from vretr.training.run import Run

    run = Run.open(path)
    if run.method != "compodiff":
        raise MismatchError(f"{display(path)} is a run of {run.method}, not of compodiff.")
    if not run.weights.exists():
        raise MismatchError(
            f"The training in {display(path)} was not finished; --out {display(path)} --resume "
            "goes on."
        )
    return run.weights


def _is_for(about: Mapping[str, Any], encoder: Encoder) -> bool:
    return (about.get("encoder") or {}).get("identity") == encoder.identity
