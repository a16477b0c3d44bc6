"""What draws a pair of pictures: a diffusers pipeline of one's own, or noise to try the rest with.

Prompt-to-prompt shares attention between the two pictures; here the cheaper stand-ins: the first
picture is redrawn (img2img), both begin with one noise, or a photo is edited by instruction.
"""

from collections.abc import Callable
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from compodiff.build_config import BuildConfig
from compodiff.building import drawing
from vretr import images
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.paths import display


class Asked(NamedTuple):
    """A pair to draw. `photo` is the reference, where the row has one."""

    reference: str
    target: str
    text: str
    photo: Path | None
    seed: int


class Pipeline(Protocol):
    """Draws pairs; equal seeds give equal pictures."""

    def pair(self, asked: Asked) -> tuple[Image.Image, Image.Image]:
        """Reference and target, RGB."""


def load(config: BuildConfig) -> Pipeline:
    """The pipeline that is asked for.

    Raises:
        UsageError: none is named, it is no folder, or diffusers is not installed.
        VretrError: diffusers cannot load it.
    """
    if config.dry_run:
        return Noise(config.size or 64)
    if config.pipeline is None:
        raise UsageError("Name the folder of a diffusers pipeline by --pipeline, or try --dry-run.")
    if not config.pipeline.is_dir():
        raise UsageError(f"There is no folder {display(config.pipeline)} with a pipeline.")
    try:
        diffusers = import_module("diffusers")
    except ImportError as problem:
        raise UsageError(
            "--from generate draws with diffusers, which is not installed: "
            "pip install 'vretr[generate]', or try --dry-run."
        ) from problem
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            config.pipeline, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0].rstrip(".")
        raise VretrError(f"{display(config.pipeline)} cannot be loaded: {reason}.") from problem
    return Diffusers(diffusers, pipeline, config)


class Noise:
    """`--dry-run`: the pictures are coloured by their words, and share their noise."""

    def __init__(self, side: int) -> None:
        self.side = side

    def pair(self, asked: Asked) -> tuple[Image.Image, Image.Image]:
        """See `Pipeline.pair`."""
        noise = np.random.default_rng(asked.seed).normal(0, 20, (self.side, self.side, 3))

        def drawn(caption: str) -> Image.Image:
            colour = np.frombuffer(blake2b(caption.encode(), digest_size=3).digest(), np.uint8)
            pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
            return Image.fromarray(pixels)

        return drawn(asked.reference), drawn(asked.target)


class Diffusers:
    """A pipeline of the diffusers library."""

    def __init__(self, library: Any, pipeline: Any, config: BuildConfig) -> None:
        from vretr.encoders.precision import pick_device

        device = str(pick_device()) if config.device == "auto" else config.device
        self.pipeline = pipeline.to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.config = config
        self._pair = self._way(library)

    def pair(self, asked: Asked) -> tuple[Image.Image, Image.Image]:
        """See `Pipeline.pair`."""
        first, second = self._pair(asked)
        return first.convert("RGB"), second.convert("RGB")

    def _way(self, library: Any) -> Callable[[Asked], tuple[Any, Any]]:
        if self.config.way == "shared-noise":
            return self._shared_noise
        if self.config.way == "instruct":
            return self._instruct
        editor = library.AutoPipelineForImage2Image.from_pipe(self.pipeline)
        editor.set_progress_bar_config(disable=True)

        def redrawn(asked: Asked) -> tuple[Any, Any]:
            first = self._drawn(asked.reference, asked.seed)
            second = editor(
                asked.target,
                image=first,
                strength=self.config.strength,
                num_inference_steps=self.config.steps,
                guidance_scale=self.config.guidance_text,
                generator=self._generator(asked.seed),
            ).images[0]
            return first, second

        return redrawn

    def _shared_noise(self, asked: Asked) -> tuple[Any, Any]:
        return self._drawn(asked.reference, asked.seed), self._drawn(asked.target, asked.seed)

    def _instruct(self, asked: Asked) -> tuple[Any, Any]:
        if asked.photo is None:
            raise MismatchError("--way instruct edits photos, and a row has no reference photo.")
        photo = images.open(asked.photo)
        if isinstance(photo, images.Unreadable):
            raise MismatchError(f"{display(asked.photo)} cannot be read: {photo.reason}.")
        side = self.config.size or 512
        photo = photo.resize((side, side))
        edited = self.pipeline(
            asked.text,
            image=photo,
            num_inference_steps=self.config.steps,
            guidance_scale=self.config.guidance_text,
            image_guidance_scale=self.config.guidance_image,
            generator=self._generator(asked.seed),
        ).images[0]
        return photo, edited

    def _drawn(self, caption: str, seed: int) -> Any:
        size = {"height": self.config.size, "width": self.config.size} if self.config.size else {}
        return self.pipeline(
            caption,
            num_inference_steps=self.config.steps,
            guidance_scale=self.config.guidance_text,
            generator=self._generator(seed),
            **size,
        ).images[0]

    def _generator(self, seed: int) -> Any:
        import torch

        return torch.Generator("cpu").manual_seed(seed % 2**63)  # the same on every device


def seed_of(seed: int, row: str, sample: int) -> int:
    """The seed of one pair: it depends on nothing but the row and the number of the sample."""
    return drawing.number(seed, "pair", row, str(sample)) % 2**31
