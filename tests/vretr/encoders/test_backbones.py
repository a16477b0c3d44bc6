"""Patch tokens of every kind of tower, beside what the towers' own pooling makes of them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vretr.encoders import load_encoder
from vretr.encoders.backbones import load_backbone
from vretr.encoders.base import unit
from vretr.errors import UsageError


def pixels(size: int, count: int = 2) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    coarse = torch.randint(256, (count, 3, 8, 8), generator=draws).float()
    return nn.functional.interpolate(coarse, size=size, mode="bilinear").to(torch.uint8)


def cosines(one: Tensor, other: Tensor) -> list[float]:
    left, right = (unit(x.detach().numpy()) for x in (one, other))
    return np.sum(left * right, axis=-1).ravel().tolist()


def test_lite_computes_the_same_frozen_and_trainable() -> None:
    frozen, trainable = load_backbone("lite", frozen=True), load_backbone("lite")
    batch = pixels(224)
    one, other = frozen(batch), trainable(batch)
    assert one.patches.shape == (2, 49, 1280) and one.prefix.shape == (2, 0, 1280)
    assert min(cosines(one.patches, other.patches)) > 0.9999
    assert not one.patches.requires_grad and other.patches.requires_grad
    assert (frozen.identity, frozen.width) == (trainable.identity, trainable.width)
    assert not list(frozen.parameters())


def test_another_size_gives_other_tokens() -> None:
    backbone = load_backbone("lite", size=96, frozen=True)
    assert backbone(pixels(96)).patches.shape == (2, 9, 1280)
    assert backbone.identity != load_backbone("lite", frozen=True).identity
    backbone = load_backbone("timm:test_vit/random", size=64)
    assert backbone(pixels(64)).patches.shape[1] == 16


@pytest.mark.filterwarnings("ignore:The weights of")
@pytest.mark.parametrize(
    "name", ["timm:resnet18/random", "timm:vit_tiny_patch16_224/random", "RN50/random"]
)
def test_tokens_are_what_the_tower_itself_pools(name: str) -> None:
    backbone, encoder = load_backbone(name, frozen=True), load_encoder(name, precision="fp32")
    batch = pixels(backbone.preprocessing.size)
    patches, prefix = backbone(batch)
    if name.startswith("timm:vit"):
        pooled = prefix[:, 0]
        assert backbone.heads == 3
    elif name.startswith("timm:"):
        pooled = patches.mean(1)
        assert backbone.heads is None
    else:
        tower = backbone.network
        side = round(patches.shape[1] ** 0.5)
        pooled = tower.attnpool(patches.transpose(1, 2).unflatten(2, (side, side)))
    assert min(cosines(pooled, torch.from_numpy(encoder.encode_images(batch)))) > 0.9999
    assert patches.shape[-1] == backbone.width


def test_open_clips_patches_stand_before_the_projection() -> None:
    backbone, encoder = load_backbone("ViT-B-32/random"), load_encoder("ViT-B-32/random")
    batch = pixels(224, 1)
    patches, prefix = backbone(batch)
    assert patches.shape == (1, 49, 768) and backbone.heads == 12
    projected = prefix[:, 0] @ backbone.network.proj
    assert min(cosines(projected, torch.from_numpy(encoder.encode_images(batch)))) > 0.999


def test_what_has_no_patches_is_refused() -> None:
    with pytest.raises(UsageError, match="pools its patches by attention"):
        load_backbone("coca_ViT-B-32/random")
    with pytest.raises(UsageError, match="takes pictures of 224 pixels"):
        load_backbone("ViT-B-32/random", size=64)
