"""The networks against the released files: golden values of a picture made by formula."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lsd
from lsd import files, tflite
from lsd.architecture import CHANNELS, Size, layers, size_of
from lsd.decode import peaks
from lsd.folding import folded
from lsd.model import MLSD
from lsd.network import OnnxNetwork
from lsd.starting import settle
from lsd.torch_network import TorchNetwork
from vretr.errors import MismatchError

# row, column, score of the four strongest lines; then both ends as seen from the centre.
TINY = [
    (80, 191, 0.9356, (0.55, -48.05, 1.64, 48.52)),
    (79, 63, 0.9334, (0.74, -47.94, 1.26, 48.85)),
    (127, 127, 0.8918, (-63.88, 0.46, 65.89, 1.45)),
    (31, 128, 0.8710, (-62.79, 0.69, 64.01, 0.81)),
]
LARGE = [
    (79, 191, 0.9896, (0.60, -47.11, 1.38, 48.52)),
    (79, 63, 0.9854, (0.67, -47.72, 1.48, 48.28)),
    (127, 127, 0.9824, (-62.46, 1.12, 64.09, 1.00)),
    (32, 127, 0.9787, (-63.13, 0.09, 64.59, 0.02)),
]
# fmt: off
TINY_MEANS = [
    -8.027, -4.878, -10.359, -17.726, -6.080, 18.616, 7.042, -9.003,
    -46.551, -15.556, 47.340, 16.515, -0.502, 0.145, -1.776, 0.147,
]
LARGE_MEANS = [
    -12.794, -8.816, -15.755, -13.886, 11.654, 14.740, -11.078, -14.188,
    -42.578, 43.073, 43.099, -42.879, -0.062, -0.305, -1.729, -0.292,
]
# fmt: on
SIZES: tuple[Size, ...] = ("tiny", "large")


def formula(size: int) -> np.ndarray:
    """Waves with a green box in them, [size, size, 3]."""
    y, x, channel = np.mgrid[0:size, 0:size, 0:3]
    pixels = np.floor(127.5 + 100 * np.sin(x / 9 + channel) * np.cos(y / 13))
    pixels[size // 8 : size // 2, size // 4 : 3 * size // 4] = (30, 200, 90)
    return pixels.astype(np.uint8)


@pytest.fixture(scope="module", params=SIZES)
def model(request) -> MLSD:
    """With random weights whose normalisations do something."""
    torch.manual_seed(5)
    model = MLSD(request.param)
    for name in model:
        if (norm := model.layer(name).norm) is not None:
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, std=0.3)
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.mark.parametrize(
    ("file", "golden", "means"),
    [
        ("M-LSD_512_tiny_fp32.tflite", TINY, TINY_MEANS),
        ("M-LSD_512_large_fp16.tflite", LARGE, LARGE_MEANS),
    ],
)
def test_released_weights_give_the_golden_values(shared_data, file, golden, means) -> None:
    weights = tflite.read(shared_data / "mlsd" / file)
    maps = OnnxNetwork(weights, channels=slice(0, CHANNELS))(formula(512)[None])[0]
    assert np.allclose(maps.mean(axis=(1, 2)), means, atol=2e-3)
    rows, columns, best = peaks(maps[7], 4)
    assert [*zip(rows, columns, strict=True)] == [(row, column) for row, column, *_ in golden]
    assert best == pytest.approx(golden[0][2], abs=1e-4)
    for row, column, _, ends in golden:
        assert np.allclose(maps[8:12, row, column], ends, atol=0.006)


def test_loaded_networks_count_from_the_border(shared_data) -> None:
    file = shared_data / "mlsd" / "M-LSD_512_large_fp16.tflite"
    pixels = formula(512)
    whole = slice(0, CHANNELS)
    released = OnnxNetwork(tflite.read(file), channels=whole)(pixels[None])[0]
    ours = OnnxNetwork(files.read(file), channels=whole)(pixels[None])[0]
    for channel in range(CHANNELS):
        shift = 0.25 if 3 <= channel <= 6 or 8 <= channel <= 11 else 0
        assert np.allclose(ours[channel], released[channel] + shift, atol=1e-3)
    # The box reaches from pixel 128 up to 384 and from 64 up to 256.
    found = lsd.load(file, score=0.5).detect(pixels)
    upright = np.abs(found.ends[:, 0] - found.ends[:, 2]) < 8
    x = np.sort(found.ends[upright][:, [0, 2]].mean(axis=1))
    y = np.sort(found.ends[~upright][:, [1, 3]].mean(axis=1))
    assert np.allclose(x, [128, 384], atol=1) and np.allclose(y, [64, 256], atol=1)


def test_the_320_network_is_read_as_well(shared_data) -> None:
    weights = files.read(shared_data / "mlsd" / "M-LSD_320_tiny_fp16.tflite")
    maps = OnnxNetwork(weights)(formula(320)[None])[0]
    rows, columns, best = peaks(maps[0], 4)
    assert {*zip(rows, columns, strict=True)} == {(79, 79), (49, 39), (20, 79), (49, 119)}
    assert best == pytest.approx(0.9770, abs=1e-4)


def test_sizes_are_the_papers() -> None:
    trainable = {size: sum(one.numel() for one in MLSD(size).parameters()) for size in SIZES}
    assert trainable == {"tiny": 619_280, "large": 1_531_984}
    assert [len(layers(size)) for size in SIZES] == [41, 58]
    assert [sum(value.size for value in MLSD(size).folded().values()) for size in SIZES] == [
        613_936,
        1_522_512,
    ]


@pytest.mark.parametrize("side", [96, 160])
def test_onnx_and_torch_agree(model: MLSD, side: int) -> None:
    weights = model.folded()
    assert size_of(weights) == model.size
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = model(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    assert wanted.shape == (2, CHANNELS, side // 2, side // 2)
    tolerance = 1e-4 * np.abs(wanted).max()
    found = OnnxNetwork(weights, channels=slice(0, CHANNELS))(pixels)
    assert np.abs(found - wanted).max() < tolerance
    in_torch = TorchNetwork(weights, device="cpu", precision="auto")(pixels)
    assert np.abs(in_torch - wanted[:, 7:12]).max() < tolerance


def test_stride_two_pads_at_the_end_only(model: MLSD) -> None:
    """Symmetric padding looks one pixel further to the upper left: 17 points of sAP10 lost."""
    stem = model.layer("stem")
    x = torch.randn(1, 3, 8, 8)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
    by_hand = torch.nn.functional.conv2d(padded, stem.convolution.weight, stride=2)
    assert torch.allclose(stem.linear(x), stem.norm(by_hand), atol=1e-5)
    moved = x.clone()
    moved[..., 0, 0] += 1  # the first pixel: in no window of padding but the first
    changed = (stem.linear(moved) - stem.linear(x)).abs().amax(dim=1)[0] > 1e-6
    assert changed.nonzero().tolist() == [[0, 0]]


def test_a_one_by_one_convolution_may_come_before_the_resize(model: MLSD) -> None:
    layer = model.layer("join0_coarse")
    x = torch.randn(1, layer.layer.inputs, 6, 6)
    like = torch.empty(1, 1, 12, 12)
    resized = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    with torch.no_grad():
        assert torch.allclose(
            model.convolve_resized("join0_coarse", x, like), layer(resized), atol=1e-5
        )


def test_folded_weights_can_be_taken_back_and_trained_on(model: MLSD) -> None:
    weights = model.folded()
    assert {name: value.tolist() for name, value in folded(weights).items()} == {
        name: value.tolist() for name, value in weights.items()
    }
    other = MLSD(model.size)
    other.load_folded(weights)
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        wanted = model(pixels)
        tolerance = 1e-4 * wanted.abs().max()
        assert (other.eval()(pixels) - wanted).abs().max() < tolerance
        at_once = other.train()(pixels)
        other.load_folded(weights)
        settle(other, [pixels])
        assert (other.eval()(pixels) - wanted).abs().max() < 10 * tolerance
        assert (other.train()(pixels) - wanted).abs().max() < 0.1 * (at_once - wanted).abs().max()


def test_a_frozen_encoder_keeps_its_statistics() -> None:
    model = MLSD("tiny")
    model.frozen = True
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    changed = {
        name.split("_")[0].partition(".")[0]
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"join0", "join1", "head"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: weights.pop("stem.bias"), "stem.* is missing"),
        (lambda weights: weights.update({"head_out.bias": np.zeros(9)}), "has shape"),
    ],
)
def test_other_tensors_are_refused(model: MLSD, change, said: str) -> None:
    weights = model.folded()
    change(weights)
    with pytest.raises(MismatchError, match=said):
        folded(weights)


def test_files_that_are_no_network_are_refused(tmp_path: Path) -> None:
    for name, content, said in (
        ("x.tflite", b"not flatbuffers", "not a TFLite file"),
        ("y.tflite", b"\x10\0\0\0TFL3" + b"\xff" * 64, "damaged"),
        ("z.safetensors", b"\0" * 32, "cannot be read"),
        ("w.pth", b"no zip", "cannot be read as weights"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(MismatchError, match=said):
            files.read(file)
