"""The networks that M-LSD's authors released: fetched when asked for, and checked."""

import hashlib
import logging
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from vretr import paths
from vretr.errors import VretrError

log = logging.getLogger(__name__)

ADDRESS = "https://github.com/navervision/mlsd/raw/main/tflite_models/{}"
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class Released:
    """A file of the authors' repository (Apache-2.0)."""

    file: str
    size: int  # side of its input
    sha256: str


RELEASED = {
    "mlsd-tiny": Released(
        "M-LSD_512_tiny_fp32.tflite",
        512,
        "9eea1c32aa599a74d60b74fa62a17993da2ee5eb7666aad27e9795fe8bd08293",
    ),
    "mlsd-large": Released(
        "M-LSD_512_large_fp16.tflite",
        512,
        "34c470216a905c4850771ce2bfc5e13079d99799aaa5726dd51a985fb62b0b8b",
    ),
    "mlsd-tiny-320": Released(
        "M-LSD_320_tiny_fp16.tflite",
        320,
        "2c8b761302159fc4831990e12c3c9312e4ef88fc3d2647c8fc22abe6d913941a",
    ),
}


def released(name: str) -> Path:
    """The file of that name on this machine; fetched if need be, unless the network is off.

    A file that is put into `VRETR_HOME/weights/mlsd` by hand is taken as well.

    Raises:
        VretrError: it is not here and cannot be fetched, or is not the file that was released.
    """
    known = RELEASED[name]
    folder = paths.home() / "weights" / "mlsd"
    file = folder / known.file
    if not file.exists():
        by_hand = f"put {known.file} into {paths.display(folder)}"
        if paths.offline():
            raise VretrError(
                f"{name} is not on this machine and the network is off: {by_hand}, or take "
                "--model tiny, which is always here."
            )
        content = _fetched(ADDRESS.format(known.file), by_hand)
        if hashlib.sha256(content).hexdigest() != known.sha256:
            raise VretrError(f"{known.file} is not what was released: {by_hand}.")
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_bytes(content)
        part.replace(file)
    elif hashlib.sha256(file.read_bytes()).hexdigest() != known.sha256:
        raise VretrError(f"{paths.display(file)} is not what was released: delete it.")
    return file


def _fetched(address: str, by_hand: str) -> bytes:
    log.warning("Fetching %s (Apache-2.0).", address)
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            return answer.read()
    except (OSError, HTTPException) as error:
        raise VretrError(
            f"{address} could not be fetched ({error}): try again, {by_hand}, or take --model "
            "tiny, which is always here."
        ) from error
