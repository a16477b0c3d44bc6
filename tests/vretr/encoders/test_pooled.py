"""NAME+POOLING as an encoder."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vretr.encoders.tiny import MODEL, tiny_clip
from vretr.encoders import load_encoder, unit
from vretr.encoders.backbones import load_backbone
from vretr.encoders.pixels import uint8_pixels
from vretr.errors import UsageError

VIT = "timm:test_vit/random"
SMALL = "timm:mobilenetv3_small_050/random"


@pytest.mark.parametrize("tower", [VIT, SMALL, "lite", "open_clip"])
def test_it_pools_the_towers_patches(
    tower: str, tmp_path: Path, pictures: list[Image.Image]
) -> None:
    if tower == "open_clip":
        tower = f"local-dir:{tiny_clip(tmp_path)}"
    encoder = load_encoder(f"{tower}+gem:p=2", device="cpu", precision="fp32")
    backbone = load_backbone(tower, frozen=True)
    with torch.no_grad():
        patches, _ = backbone(uint8_pixels(pictures, encoder.preprocessing))
        expected = patches.double().clamp(min=1e-6).square().mean(1).sqrt().numpy()
    found = encoder.encode_images(pictures)
    assert found.shape == (len(pictures), encoder.dim) == (len(pictures), backbone.width)
    np.testing.assert_allclose(found, unit(expected), atol=1e-5)


def test_averaging_is_what_such_a_model_does_itself(pictures: list[Image.Image]) -> None:
    own = load_encoder("timm:resnet10t/random", device="cpu", precision="fp32")
    again = load_encoder("timm:resnet10t/random+avg", device="cpu", precision="fp32")
    vectors = again.encode_images(pictures)
    np.testing.assert_allclose(vectors, own.encode_images(pictures), atol=1e-5)
    assert again.identity != own.identity


def test_the_class_token_is_what_such_a_model_gives(pictures: list[Image.Image]) -> None:
    name = "timm:test_vit/random"
    own = load_encoder(name, device="cpu", precision="fp32")
    again = load_encoder(f"{name}+cls", device="cpu", precision="fp32")
    np.testing.assert_allclose(
        again.encode_images(pictures), own.encode_images(pictures), atol=1e-5
    )


def test_identity_is_of_all_that_decides() -> None:
    def identity(pooling: str) -> str:
        return load_encoder(f"{VIT}+{pooling}", device="cpu").identity

    different = ["avg", "max", "gem", "gem:p=4", "gem:eps=1e-5", "gem:negatives=signed", "cls"]
    different += ["ggem:groups=2", "cls,avg", "avg,cls"]
    assert len({identity(pooling) for pooling in different}) == len(different)
    assert identity("gem") == identity("gem:p=3")
    assert identity("gem:p=3,learnable=false") != identity("gem:p=4,learnable=false")
    assert identity("gem") != load_encoder(f"{SMALL}+gem", device="cpu").identity


def test_words_are_refused_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    encoder = load_encoder(f"local-dir:{tiny_clip(tmp_path)}+max", device="cpu")
    said = [record.getMessage() for record in caplog.records if record.name.startswith("vretr")]
    assert ["pictures only" in sentence for sentence in said] == [True]
    assert not encoder.reads_text
    with pytest.raises(UsageError, match="--image"):
        encoder.encode_texts(["a dog"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lite+cls", "lite has no class token"),
        (f"{VIT}+attention", "must be trained first"),
        (f"{VIT}+cls,attention", "must be trained first"),
        (f"{VIT}+ggem:groups=7", "must divide"),
    ],
)
def test_what_a_tower_does_not_have_is_refused(name: str, says: str) -> None:
    encoder = load_encoder(name, device="cpu")
    with pytest.raises(UsageError, match=says):
        _ = encoder.identity


def test_a_tower_whose_patches_are_gone_is_refused(tmp_path: Path) -> None:
    by_attention = {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}
    folder = tiny_clip(tmp_path, vision_cfg=MODEL["vision_cfg"] | by_attention)
    encoder = load_encoder(f"local-dir:{folder}+gem", device="cpu")
    with pytest.raises(UsageError, match="by attention"):
        encoder.encode_images(np.zeros((1, 3, 32, 32), np.uint8))


def test_a_tower_to_train_is_named_without_a_pooling() -> None:
    with pytest.raises(UsageError, match="write lite"):
        load_backbone("lite+gem")


def test_nothing_in_nothing_out() -> None:
    encoder = load_encoder(f"{VIT}+ggem", device="cpu")
    assert encoder.encode_images([]).shape == (0, encoder.dim)
