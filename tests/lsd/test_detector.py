"""Pictures in, line segments out."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

import lsd
from lsd import port, released
from lsd.architecture import layers
from lsd.detector import Detector
from lsd.model import MLSD
from lsd.resizing import squashed
from vretr.errors import MismatchError, UsageError, VretrError

RANDOM = np.random.default_rng(3)


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(MLSD("tiny").folded(), size=64, score=0.0)


def picture(width: int, height: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_in_a_batch_is_the_picture_alone(detector: Detector) -> None:
    pictures = [picture(80, 60), picture(64, 64), picture(200, 30)]
    for one, among in zip(pictures, detector.detect_batch(pictures), strict=True):
        alone = detector.detect(one)
        assert np.allclose(alone.ends, among.ends, atol=1e-2)
        assert np.allclose(alone.scores, among.scores, atol=1e-5)
    assert detector.detect_batch([]) == []


def test_arrays_and_pictures_are_the_same(detector: Detector) -> None:
    pixels = picture(70, 50)
    found = detector.detect(Image.fromarray(pixels))
    assert np.array_equal(found.ends, detector.detect(pixels).ends)
    assert (found.width, found.height) == (70, 50)
    assert found.ends[:, [0, 2]].max() <= 70 and found.ends[:, [1, 3]].max() <= 50


def test_other_settings_leave_the_first_as_it_was(detector: Detector) -> None:
    pixels = picture(64, 64)
    before = len(detector.detect(pixels))
    assert len(detector.with_settings(top_k=3).detect(pixels)) == 3 < before
    assert len(detector.detect(pixels)) == before


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16", "1"])
def test_a_single_pixel_of_any_mode(detector: Detector, mode: str) -> None:
    assert len(detector.detect(Image.new(mode, (1, 1)))) >= 0


def test_what_is_no_picture_is_refused(detector: Detector) -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            detector.detect(wrong)
    with pytest.raises(ValueError, match="multiple of 16"):
        Detector(detector.weights, size=100)


def test_area_averages_and_bilinear_takes_the_nearest() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[::4] = 200  # a row in four
    image = Image.fromarray(pixels)
    assert np.unique(squashed(image, 10, "area")).tolist() == [50]
    assert np.unique(squashed(image, 10, "bilinear")).tolist() == [0]  # rows 1 and 2 of each four


def test_bilinear_is_between_centres_of_pixels() -> None:
    row = np.array([0, 100, 200, 50], np.uint8)
    image = Image.fromarray(np.broadcast_to(row[None, :, None], (4, 4, 3)).copy())
    found = squashed(image, 8, "bilinear")[0, :, 0]
    assert found.tolist() == [0, 25, 75, 125, 175, 162, 88, 50] or np.allclose(
        found, [0, 25, 75, 125, 175, 162.5, 87.5, 50], atol=1
    )


def test_loading_needs_no_torch(tmp_path: Path, detector: Detector) -> None:
    save_file(detector.weights, tmp_path / "x.safetensors")
    code = (
        "import sys, numpy, lsd\n"
        f"found = lsd.load({str(tmp_path / 'x.safetensors')!r}, size=64)\n"
        "found.detect(numpy.zeros((9, 9, 3), numpy.uint8))\n"
        "print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_weights_of_a_checkpoint_are_folded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = MLSD("large").eval()
    file = tmp_path / "m.safetensors"
    save_file({name: value.numpy() for name, value in model.state_dict().items()}, file)
    found = lsd.load(file, size=64)
    assert found.network_size == "large"
    assert np.array_equal(found.weights["stem.weight"], model.folded()["stem.weight"])


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path))
    monkeypatch.setenv("VRETR_OFFLINE", "1")
    with pytest.raises(UsageError, match="mlsd-tiny"):
        lsd.load("mlsd-tny")
    with pytest.raises(VretrError, match=r"put M-LSD_512_large_fp16.tflite into .*--model tiny"):
        lsd.load("mlsd-large")
    (tmp_path / "weights" / "mlsd").mkdir(parents=True)
    (tmp_path / "weights" / "mlsd" / "M-LSD_512_large_fp16.tflite").write_bytes(b"x")
    with pytest.raises(VretrError, match="not what was released"):
        lsd.load("mlsd-large")


def test_a_released_file_is_fetched_once_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path))
    monkeypatch.delenv("VRETR_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    asked: list[str] = []

    def answer(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO(b"weights")

    monkeypatch.setattr(released.urllib.request, "urlopen", answer)
    with pytest.raises(VretrError, match="not what was released"):
        released.released("mlsd-tiny")
    assert not [*tmp_path.rglob("*.tflite")]
    digest = hashlib.sha256(b"weights").hexdigest()
    known = released.Released("M-LSD_512_tiny_fp32.tflite", 512, digest)
    monkeypatch.setitem(released.RELEASED, "mlsd-tiny", known)
    for _ in range(2):
        assert released.released("mlsd-tiny").read_bytes() == b"weights"
    assert len(asked) == 2 and asked[1].endswith("/M-LSD_512_tiny_fp32.tflite")

    def down(address: str, timeout: float) -> io.BytesIO:
        raise OSError("no route")

    monkeypatch.setattr(released.urllib.request, "urlopen", down)
    with pytest.raises(VretrError, match=r"no route.*--model tiny"):
        released.released("mlsd-large")


@pytest.mark.parametrize("size", ["tiny", "large"])
def test_the_ports_converted_weights_are_read(tmp_path: Path, size: str) -> None:
    """Its layout: a convolution, with a bias in the decoder, then its normalisation; the stem has
    four channels; between them counters and other names."""
    torch.manual_seed(2)
    model = MLSD(size).eval()
    tensors: dict[str, torch.Tensor] = {}
    for number, name in enumerate(layers(size)):
        layer = model.layer(name)
        weight = layer.convolution.weight.detach()
        if name == "stem":
            weight = torch.cat([weight, torch.zeros(32, 1, 3, 3)], dim=1)
        tensors[f"block{number}.conv.0.weight"] = weight
        tensors[f"block{number}.conv.0.bias"] = torch.full((len(weight),), 0.25)
        if layer.norm is not None:
            layer.norm.eps = port.EPSILON
            tensors |= {
                f"block{number}.conv.1.{key}": value
                for key, value in layer.norm.state_dict().items()
            }
    torch.save(tensors, tmp_path / "port.pth")
    found = port.read(tmp_path / "port.pth")
    assert found["head_out.bias"].tolist() == [0.25] * 16
    factor = (1 + port.EPSILON) ** -0.5
    assert np.allclose(
        found["stem.weight"], model.layer("stem").convolution.weight.detach() * factor
    )
    assert np.allclose(found["stem.bias"], 0.25 * factor)
    tensors["block0.conv.0.weight"] = tensors["block0.conv.0.weight"][:, :3]
    torch.save(tensors, tmp_path / "trained.pth")
    with pytest.raises(MismatchError, match="trained by the PyTorch port"):
        port.read(tmp_path / "trained.pth")


def test_nothing_in_a_pth_file_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'run'}",)

    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(MismatchError, match="cannot be read"):
        port.read(tmp_path / "evil.pth")
    assert not (tmp_path / "run").exists()
