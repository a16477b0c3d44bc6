"""The two sets of heads that are shipped, and the terms that they bring. No torch."""

import logging
from pathlib import Path

from vretr.errors import VretrError
from vretr.paths import home

log = logging.getLogger(__name__)

SENTENCE = (
    "lite's heads were trained on Flickr8k photos, for non-commercial research only; lite-free "
    "(`--encoder lite-free`) has the same towers, and terms that allow commercial use. (Said once.)"
)


def path(which: str) -> Path:
    """Where the heads lie: those of `lite` ("") or of `lite-free` ("free")."""
    return Path(__file__).with_name("weights") / f"heads{which and '-'}{which}.safetensors"


def heads(which: str) -> Path:
    """The heads' file.

    Raises:
        VretrError: it is not part of this installation.
    """
    if not (file := path(which)).exists():
        raise VretrError(
            f"The heads of lite{which and '-'}{which} are not here: {file} is missing."
        )
    return file


def say_once(which: str) -> None:
    """Warns of the terms that hold for `lite`, the first time on this machine."""
    if which:
        return
    said = home() / "terms" / "lite"
    try:
        said.parent.mkdir(parents=True, exist_ok=True)
        said.touch(exist_ok=False)
    except FileExistsError:
        if said.is_file():
            return
    except OSError as problem:  # it will be said again
        log.info("that the terms of lite were told cannot be noted: %s", problem)
    log.warning(SENTENCE)
