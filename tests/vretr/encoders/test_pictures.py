import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

from vretr.encoders import Encoder, load_encoder
from vretr.encoders.pictures import Pictures
from vretr.errors import UsageError, VretrError

SMALL = "mobilenetv3_small_050.lamb_in1k"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    torch.manual_seed(1)
    save_file(timm.create_model(SMALL).state_dict(), path)
    return path


def load(name: str) -> Pictures:
    encoder = load_encoder(name, precision="fp32")
    assert isinstance(encoder, Pictures)
    return encoder


@pytest.mark.parametrize("name", [SMALL, "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
def test_pictures_as_timm_encodes_them(
    name: str, tmp_path: Path, pictures: list[Image.Image]
) -> None:
    path = tmp_path / "w.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = timm.create_model(name)
    torch.save(model.state_dict(), path)
    model = model.eval()
    model.reset_classifier(0)
    transform = create_transform(**resolve_data_config({}, model=model))
    with torch.inference_mode():
        expected = model(torch.stack([transform(picture) for picture in pictures[:3]])).numpy()
    encoder = load(f"timm:{name}@{path}")
    encoder.__dict__["preprocessing"] = replace(encoder.preprocessing, gap=0)
    found = encoder.encode_images(pictures[:3])
    assert found.shape == (3, encoder.dim)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_no_words(weights: Path) -> None:
    encoder = load(f"timm:{SMALL}@{weights}")
    assert isinstance(encoder, Encoder)
    assert not encoder.reads_text
    with pytest.raises(UsageError, match="pictures only"):
        encoder.encode_texts(["a dog"])


def test_identity(weights: Path, tmp_path: Path) -> None:
    first = load(f"timm:{SMALL}@{weights}").identity
    other = tmp_path / "copy.safetensors"
    other.write_bytes(weights.read_bytes())
    assert load(f"timm:{SMALL}@{other}").identity == first
    assert load(f"timm:{SMALL}/random").identity != first


def test_random_weights_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(f"timm:{SMALL}/random")
    assert "random" in caplog.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("classifier.bias"), "classifier.bias"),
        (lambda state: state.update(more=torch.ones(1)), "more"),
        (lambda state: state.update(conv_stem=torch.ones(1)), "conv_stem"),
    ],
)
def test_weights_that_do_not_fit(change: object, says: str, tmp_path: Path) -> None:
    state = dict(timm.create_model(SMALL).state_dict())
    change(state)  # type: ignore[operator]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(VretrError, match=says):
        _ = load(f"timm:{SMALL}@{tmp_path / 'w.safetensors'}").dim


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="did you mean timm:resnet18"):
        load("timm:resnet_18")
    with pytest.raises(VretrError, match="no published weights"):
        load("timm:legacy_senet154")


def test_dinov3_pools_its_class_token() -> None:
    encoder = load("timm:vit_small_patch16_dinov3.lvd1689m/random")
    assert encoder.tower.global_pool == "token"
    assert encoder.dim == 384
