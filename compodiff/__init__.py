"""CompoDiff: composed retrieval by latent diffusion, with negative words and masks.

Gu, Chun, Kim, Jun, Kang, Yun 2024, *CompoDiff: Versatile Composed Image Retrieval With Latent
Diffusion*, TMLR, arXiv:2303.11916. A network denoises one vector of the encoder's space, led by a
picture, words and a mask; what comes out is searched for.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from vretr.methods import Method, Verb

if TYPE_CHECKING:
    from compodiff.composer import CompoDiff
    from compodiff.files import load
    from compodiff.model import Prior

METHOD = Method(
    name="compodiff",
    summary="Composed retrieval by latent diffusion: negative words, masks; triplets to train on.",
    train=Verb("compodiff.train:train", "compodiff.config:TrainConfig"),
    evaluate=Verb("compodiff.evaluate:evaluate", "compodiff.config:EvalConfig"),
    load="compodiff.files:load",
    composer="compodiff.files:composer",
    composer_options="compodiff.config:ComposerOptions",
    commands=MappingProxyType(
        {
            "build-triplets": Verb(
                "compodiff.build_triplets:build_triplets",
                "compodiff.build_config:BuildConfig",
                summary="Make triplets (picture, words, picture) from captions or a folder.",
            )
        }
    ),
)

_HOMES = {
    "CompoDiff": "compodiff.composer",
    "Prior": "compodiff.model",
    "load": "compodiff.files",
}
__all__ = ["METHOD", "CompoDiff", "Prior", "load"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'compodiff' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
