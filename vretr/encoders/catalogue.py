"""What open_clip and we know of published encoders, read without importing torch.

open_clip's own tables are read from its installed files: importing the package costs five seconds,
which neither a list, nor an error about a misspelt name, nor an encoder's `dim` is worth.
"""

import ast
import copy
import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vretr.errors import VretrError

# CLIP's normalisation, unless the weights say otherwise.
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


QUICK = "-quickgelu"


@dataclass(frozen=True)
class Card:
    """One line of `vretr encoders`: an encoder we recommend, and under which terms."""

    name: str
    dim: int
    parameters: float  # millions, both towers; 4 bytes each in the usual file
    licence: str  # of the weights, as their publisher states it
    commercial: bool = True  # whether the licence allows commercial use
    reads_text: bool = True
    note: str = ""


# Sizes counted by building the models; licences from the model cards.
CARDS = (
    Card(
        "lite",
        640,
        27.4,
        "research only: heads trained on Flickr8k photos",
        False,
        note="no download",
    ),
    Card(
        "lite-free",
        640,
        27.4,
        "Apache-2.0",
        note="no download; heads without Flickr8k",
    ),
    Card("ViT-B", 512, 151.3, "MIT", note="OpenAI's CLIP"),
    Card("ViT-L", 768, 427.6, "MIT", note="OpenAI's CLIP"),
    Card("ViT-H", 1024, 986.1, "MIT"),
    Card("ViT-G", 1280, 2539.6, "MIT"),
    Card("ViT-B-32-256/datacomp_s34b_b86k", 512, 151.3, "MIT", note="fast on a processor"),
    Card("ViT-B-16/datacomp_xl_s13b_b90k", 512, 149.6, "MIT"),
    Card("ViT-L-14/datacomp_xl_s13b_b90k", 768, 427.6, "MIT"),
    Card("EVA02-B-16/merged2b_s8b_b131k", 512, 149.7, "MIT"),
    Card("PE-Core-S-16-384/meta", 512, 87.2, "Apache-2.0"),
    Card("PE-Core-B-16/meta", 1024, 447.7, "Apache-2.0"),
    Card("PE-Core-L-14-336/meta", 1024, 671.1, "Apache-2.0", note="best in English, wants a GPU"),
    Card(
        "ViT-B-32-SigLIP2-256/webli",
        768,
        376.9,
        "Apache-2.0",
        note="many languages",
    ),
    Card(
        "ViT-B-16-SigLIP2-256/webli",
        768,
        375.2,
        "Apache-2.0",
        note="many languages",
    ),
    Card(
        "ViT-L-16-SigLIP2-256/webli",
        1024,
        881.5,
        "Apache-2.0",
        note="many languages",
    ),
    Card("MobileCLIP2-S2/dfndr2b", 512, 99.2, "Apple research", False),
    Card("ViT-H-14-378-quickgelu/dfn5b", 1024, 986.7, "Apple research", False),
    Card("timm:vit_small_patch14_dinov2.lvd142m", 384, 22.1, "Apache-2.0", reads_text=False),
    Card("timm:vit_base_patch14_dinov2.lvd142m", 768, 86.6, "Apache-2.0", reads_text=False),
    Card("timm:vit_small_patch16_dinov3.lvd1689m", 384, 21.6, "DINOv3 licence", reads_text=False),
    Card("timm:convnext_tiny.dinov3_lvd1689m", 768, 27.8, "DINOv3 licence", reads_text=False),
)


@cache
def open_clip_folder() -> Path:
    """Where the package lies; it is found, not run."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise VretrError("The package open_clip is missing: pip install open-clip-torch.")
    return Path(spec.submodule_search_locations[0])


@cache
def architectures() -> tuple[str, ...]:
    """The names of open_clip's architectures, sorted."""
    return tuple(
        sorted(file.stem for file in (open_clip_folder() / "model_configs").glob("*.json"))
    )


def architecture(name: str) -> dict[str, Any]:
    """open_clip's description of an architecture: embed_dim, vision_cfg, text_cfg, ..."""
    file = open_clip_folder() / "model_configs" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


@cache
def weights() -> dict[str, dict[str, dict[str, Any]]]:
    """open_clip's published weights: architecture -> tag -> {hf_hub, mean, std, quick_gelu, ...}.

    They stand in a module that imports torch. Only the statements that build the table are run:
    its assignments and calls, its small `_...cfg` functions and its loop.
    """
    folder = open_clip_folder()
    source = ast.parse((folder / "pretrained.py").read_text(encoding="utf-8"))
    source.body = [node for node in source.body if _builds_the_table(node)]
    names = {"copy": copy, **runpy.run_path(str(folder / "constants.py"))}
    exec(compile(source, "open_clip/pretrained.py", "exec"), names)
    return names["_PRETRAINED"]


def _builds_the_table(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("_") and node.name.endswith("cfg")
    return isinstance(node, ast.Assign | ast.For | ast.Expr)


def pairs() -> list[str]:
    """Every `ARCH/PRETRAINED` of open_clip in which the architecture is the weights' own."""
    return [
        f"{name}/{tag}"
        for name, tags in weights().items()
        for tag, entry in tags.items()
        if right_architecture(name, entry) == name
    ]


def right_architecture(name: str, entry: Mapping[str, Any]) -> str:
    """`name` with or without `-quickgelu`, as the weights of a table's entry were trained.

    open_clip gives the wrong one a warning only, and then computes other vectors.
    """
    plain = name.removesuffix(QUICK)
    if plain + QUICK not in architectures():
        return name
    return plain + QUICK if entry.get("quick_gelu") else plain


def card(name: str) -> Card | None:
    """What we know of a name's size and licence, if it is one we recommend."""
    return next((card for card in CARDS if card.name == name), None)
