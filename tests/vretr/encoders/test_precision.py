from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from tests.vretr.encoders.tiny import tiny_clip
from vretr.encoders import load_encoder, precision
from vretr.encoders.precision import computing, lower, pick_device, pick_dtype
from vretr.errors import UsageError

CPU = torch.device("cpu")


def test_auto_takes_bf16_where_it_multiplies_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_dtype("fp32", CPU) == torch.float32
    assert pick_dtype("bf16", CPU) == torch.bfloat16
    assert pick_dtype("fp16", CPU) == torch.float16
    for slow, fast, expected in ((2.0, 1.0, torch.bfloat16), (1.0, 1.0, torch.float32)):
        seconds = {torch.float32: slow, torch.bfloat16: fast}
        monkeypatch.setattr(precision, "_seconds_to_multiply", seconds.get)
        precision.multiplies_bf16_fast.cache_clear()
        assert pick_dtype("auto", CPU) == expected
    precision.multiplies_bf16_fast.cache_clear()


def test_the_processor_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    precision.multiplies_bf16_fast.cache_clear()
    first = precision.multiplies_bf16_fast("cpu")
    monkeypatch.setattr(precision, "_seconds_to_multiply", None)
    assert precision.multiplies_bf16_fast("cpu") == first


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta:9:9", ""])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used here"):
        pick_device(name)


def test_a_precision_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="there are auto, fp32, bf16, fp16"):
        pick_dtype("int8", CPU)  # type: ignore[arg-type]


def test_large_weights_are_lowered_and_the_rest_is_not() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    module = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Embedding(4, 8), attention)
    lower(module, torch.bfloat16)
    low = {name for name, p in module.named_parameters() if p.dtype == torch.bfloat16}
    assert low == {"0.weight", "0.bias"} | {f"3.{name}" for name, _ in attention.named_parameters()}
    with computing(CPU, torch.bfloat16):
        assert module[1](module[0](torch.ones(2, 8)) + torch.ones(2, 8)).dtype == torch.float32


def test_bf16_stays_close_to_fp32(tmp_path: Path) -> None:
    """Cosine 0.999, and the same ten pictures found, on drawn scenes."""
    draw = np.random.default_rng(0)
    scenes = [scene(draw) for _ in range(120)]
    folder = tiny_clip(tmp_path / "m")
    exact = load_encoder(f"local-dir:{folder}", precision="fp32")
    low = load_encoder(f"local-dir:{folder}", precision="bf16")
    expected, found = exact.encode_images(scenes), low.encode_images(scenes)
    assert (expected * found).sum(1).min() >= 0.999
    texts = [
        f"{colour} {shape} number {n}"
        for n in range(5)
        for colour in ("red", "blue")
        for shape in ("box", "dot")
    ]
    assert (exact.encode_texts(texts) * low.encode_texts(texts)).sum(1).min() >= 0.999
    assert not np.array_equal(expected, found)
    top, low_top = (np.argsort(-(v @ v.T), axis=1)[:, :10] for v in (expected, found))
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top, low_top, strict=True)])
    assert overlap >= 0.95


def scene(draw: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (48, 48), tuple(draw.integers(0, 256, 3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(3):
        x, y, *size = draw.integers(2, 40, 4)
        box = (int(x), int(y), int(x + size[0]), int(y + size[1]))
        pen.ellipse(box, fill=tuple(int(c) for c in draw.integers(0, 256, 3)))
    return picture
