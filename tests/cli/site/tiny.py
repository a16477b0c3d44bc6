"""An encoder as somebody else's package may bring one: tiny, without weights, and yet it finds.

A picture's vector is how much light it takes away on a 4 x 4 grid, so a picture is near the words
that name its colour. The environment makes it slow (TINY_SECONDS a picture), lets it tell what it
has encoded (TINY_LOG, a line a batch), or makes it another one of the same width (TINY_IDENTITY).
"""

import os
import time

import numpy as np
from PIL import Image, ImageColor

from vretr.encoders import unit
from vretr.errors import UsageError
from vretr.images import Preprocessing


class Tiny:
    name = "tiny"
    dim = 48
    reads_text = True
    preprocessing = Preprocessing(
        size=32, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear", fit="squash"
    )

    def __init__(self) -> None:
        self.identity = os.environ.get("TINY_IDENTITY", "tiny 1")

    def encode_images(self, images):
        if not isinstance(images, np.ndarray):
            pixels = [self.preprocessing.pixels(image) for image in images]
            images = np.stack(pixels).transpose(0, 3, 1, 2)
        time.sleep(float(os.environ.get("TINY_SECONDS", 0)) * len(images))
        if log := os.environ.get("TINY_LOG"):
            with open(log, "a") as file:
                file.write(f"{len(images)}\n")
        light = images.reshape(-1, 3, 4, 8, 4, 8).mean(axis=(3, 5)) / 255
        return unit(1.02 - light.reshape(-1, self.dim))

    def encode_texts(self, texts):
        return self.encode_images([Image.new("RGB", (32, 32), _colour(text)) for text in texts])


def _colour(text):
    for word in text.lower().split():
        if word in ImageColor.colormap:
            return word
    raise UsageError(f"tiny knows only colours, and {text!r} names none.")


def make(*, device, precision):
    return Tiny()
