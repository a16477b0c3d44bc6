"""What the tests of build-triplets share: an encoder that sees colours, configs in one line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from compodiff.build_config import BuildConfig
from vretr.encoders import unit
from vretr.images import Preprocessing

NAMED = ("red", "green", "blue", "yellow", "white", "black")


class Colours:
    """A picture's vector is how much light it takes away; words are the colours that they name."""

    name, identity, dim, reads_text = "colours", "colours 1", 3, True
    preprocessing = Preprocessing(
        size=16, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear", fit="squash"
    )

    def encode_images(self, images: Any) -> np.ndarray:
        if not isinstance(images, np.ndarray):
            pixels = [self.preprocessing.pixels(image) for image in images]
            images = np.stack(pixels).transpose(0, 3, 1, 2)
        return unit(1.02 - images.reshape(len(images), 3, -1).mean(axis=2) / 255)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        named = [next((word for word in NAMED if word in text), "white") for text in texts]
        light = np.array([ImageColor.getrgb(name) for name in named]) / 255
        return unit(1.02 - light)


def config(source: Path, kind: str, out: Path, **options: Any) -> BuildConfig:
    """The config, decoding in this process."""
    return BuildConfig(source=source, from_=kind, out=out, **{"workers": 0, **options})  # type: ignore[arg-type]


def lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of triplets."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def write(file: Path, *rows: object) -> Path:
    """JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def paint(file: Path, colour: str, mark: int = 0) -> None:
    """A picture of one colour with a mark at one of many places."""
    picture = Image.new("RGB", (48, 48), colour)
    left, top = 6 * (mark % 7), 6 * (mark // 7 % 7)
    picture.paste("grey", (left, top, left + 8, top + 8))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
