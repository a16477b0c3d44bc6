"""The image tower: onnxruntime and torch agree, no torch is needed, colours are what they say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vretr import images
from vretr.encoders.lite import Lite
from vretr.encoders.lite.heads import Heads, seen_by_heads
from vretr.encoders.lite.image_tower import ImageTower, Seen, colour_histogram
from vretr.encoders.lite.image_weights import converted_file, image_weights
from vretr.encoders.lite.onnx_network import OnnxNetwork
from vretr.encoders.lite.shape import PREPROCESSING
from vretr.encoders.lite.torch_network import TorchNetwork
from vretr.errors import UsageError


@pytest.fixture
def pixels(photos: Path) -> NDArray[np.uint8]:
    found = images.batches(images.find([photos]), PREPROCESSING, batch_size=5, workers=0)
    return next(iter(found)).pixels


@pytest.fixture(scope="module")
def published() -> torch.nn.Module:
    """timm's network, given the published file's tensors one by one, and timm's own forward."""
    import timm

    from vretr.encoders.lite.files import IMAGE_WEIGHTS, pinned

    state = torch.load(pinned(IMAGE_WEIGHTS), map_location="cpu", weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    named = zip(network.state_dict(), state.values(), strict=True)
    network.load_state_dict(dict(named))
    return network.eval()


def by_timm(network: torch.nn.Module, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """features, probabilities, map, stages."""
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (PREPROCESSING.mean, PREPROCESSING.std))
    maps: dict[int, torch.Tensor] = {}
    hooks = [
        stage.register_forward_hook(lambda _, __, out, number=number: maps.update({number: out}))
        for number, stage in enumerate(network.blocks)
    ]
    with torch.no_grad():
        x = (torch.tensor(pixels) / 255 - mean) / std
        features = network.forward_head(network.forward_features(x), pre_logits=True)
        probabilities = network.classifier(features).softmax(1)
    for hook in hooks:
        hook.remove()
    stages = torch.cat([maps[number].mean((2, 3)) for number in (2, 3, 4, 5)], 1)
    return [part.numpy() for part in (features, probabilities, maps[6], stages)]


def test_onnxruntime_computes_what_timm_computes(
    published: torch.nn.Module, pixels: NDArray[np.uint8]
) -> None:
    expected = by_timm(published, pixels)
    found = OnnxNetwork(image_weights()).run(pixels)
    assert [part.shape for part in found] == [(5, 1280), (5, 1000), (5, 320, 7, 7), (5, 424)]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_torch_computes_the_same(published: torch.nn.Module, pixels: NDArray[np.uint8]) -> None:
    found = TorchNetwork(device="cpu", precision="fp32").run(pixels)
    for ours, theirs in zip(found, by_timm(published, pixels), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_both_ways_give_one_vector(pixels: NDArray[np.uint8]) -> None:
    """So an index made on a GPU serves a machine without."""
    torch_tower = ImageTower()
    torch_tower.network = TorchNetwork(device="cpu", precision="fp32")
    seen = torch_tower(pixels)
    expected = Heads.load().images(seen_by_heads(seen), seen.probabilities)
    cosines = (Lite(device="cpu").encode_images(pixels) * expected).sum(1)
    assert cosines.min() > 0.99999


def test_other_sizes(published: torch.nn.Module) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 256, 256), dtype=np.uint8)
    found = OnnxNetwork(image_weights()).run(pixels)
    assert found[2].shape == (2, 320, 8, 8)
    for ours, theirs in zip(found, by_timm(published, pixels), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("number", [0, 1, 3, 11])
def test_any_number_of_pictures_each_by_itself(number: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (number, 3, 224, 224), dtype=np.uint8)
    tower = ImageTower(device="cpu")
    together = tower(pixels)
    assert [len(part) for part in together] == [number] * len(Seen._fields)
    for row in range(number):
        alone = tower(pixels[row : row + 1])
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], many[row], rtol=1e-4, atol=1e-4)


def test_pictures_need_no_torch_once_the_weights_are_converted(photos: Path) -> None:
    image_weights()
    program = (
        "import sys; from pathlib import Path; from vretr import images;"
        "from vretr.encoders.lite import Lite;"
        "picture = images.open(next(iter(images.find([Path(sys.argv[1])]))));"
        "assert Lite(device='cpu').encode_images([picture]).shape == (1, 640);"
        "assert not {'torch', 'timm', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(photos)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_converted_weights_are_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "new"))
    first = image_weights()
    assert converted_file().is_relative_to(tmp_path)
    again = image_weights()
    assert first.keys() == again.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])


def test_damaged_conversion_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path))
    first = image_weights()
    content = converted_file().read_bytes()
    converted_file().write_bytes(content[:1000])
    assert image_weights().keys() == first.keys()
    assert converted_file().read_bytes() == content


def test_home_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "file"))
    assert "conv_stem.weight" in image_weights()
    assert "import torch" in caplog.text


def test_16_bits_only_when_asked_for_and_no_other_precision() -> None:
    assert isinstance(ImageTower(device="cpu").network, OnnxNetwork)
    assert isinstance(ImageTower(device="cpu", precision="fp32").network, OnnxNetwork)
    lowered = ImageTower(device="cpu", precision="bf16").network
    assert isinstance(lowered, TorchNetwork) and lowered.dtype == torch.bfloat16
    with pytest.raises(UsageError, match="no precision 'int3'"):
        _ = ImageTower(device="cpu", precision="int3").network  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'nonsense'"):
        _ = ImageTower(device="nonsense").network


def test_colour_histogram_counts_the_whole_and_the_centre() -> None:
    pixels = np.zeros((1, 3, 8, 8), np.uint8)
    pixels[0, 0] = 255  # red, but a blue centre of 2 x 2
    pixels[0, :, 3:5, 3:5] = np.array([0, 0, 70], np.uint8).reshape(3, 1, 1)
    whole, centre = np.split(colour_histogram(pixels)[0] ** 2, 2)
    red, blue = 3 * 16, 1
    assert {cell: round(float(whole[cell]), 6) for cell in np.flatnonzero(whole)} == {
        red: 60 / 64,
        blue: 4 / 64,
    }
    assert {cell: round(float(centre[cell]), 6) for cell in np.flatnonzero(centre)} == {
        red: 12 / 16,
        blue: 4 / 16,
    }
