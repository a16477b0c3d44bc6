"""Pseudo words through the towers in NumPy against torch, family by family."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vretr.encoders.tiny import FAMILIES, stirred, tiny_clip
from vretr.encoders import load_encoder, unit
from vretr.encoders.openclip import OpenClip
from vretr.encoders.prompts import Pieces
from vretr.errors import UsageError

SENTENCES: list[Pieces] = [
    ("a photo of ", " that costs $5"),
    ("", ""),
    ("a dog on grass",),
    ("", ", a sketch of ", "", ""),
    ("two cats, one of them black, on a sofa beside the window, and ", " that nobody sees"),
]
PLACES = 6
WITH_PSEUDO_WORDS = [name for name in FAMILIES if name != "CoCa"]


def load(folder: Path, *, precision: str = "auto") -> OpenClip:
    encoder = load_encoder(f"local-dir:{folder}", device="cpu", precision=precision)
    assert isinstance(encoder, OpenClip)
    return encoder


def some_words(encoder: OpenClip, count: int = PLACES) -> np.ndarray:
    draws = np.random.default_rng(2)
    return draws.normal(0, 0.3, (count, encoder.token_width)).astype(np.float32)


@pytest.mark.parametrize("family", WITH_PSEUDO_WORDS)
def test_as_torch_reads(family: str, tmp_path: Path) -> None:
    folder = stirred(tiny_clip(tmp_path / "m", **FAMILIES[family]))
    assert load(folder).prepare_texts()
    encoder = load(folder)
    words = some_words(encoder)
    found = encoder.encode_with(SENTENCES, words)
    assert "_texts" not in vars(encoder)
    assert found.dtype == np.float32
    in_torch = load(folder, precision="fp32")
    expected = in_torch.embed(in_torch.prompts(SENTENCES), torch.from_numpy(words))
    np.testing.assert_allclose(found, unit(expected.numpy()), atol=1e-5)
    assert np.abs(found - encoder.encode_with(SENTENCES, -words))[[0, 1, 3, 4]].max(1).min() > 1e-3
    alone = encoder.encode_with(SENTENCES[3:4], words[2:5])
    np.testing.assert_allclose(alone[0], found[3], atol=1e-5)


@pytest.mark.parametrize("prepared", [True, False])
def test_many_sentences_in_any_order(prepared: bool, tmp_path: Path) -> None:
    folder = stirred(tiny_clip(tmp_path / "m"))
    if prepared:
        assert load(folder).prepare_texts()
    encoder = load(folder, precision="fp32")
    sentences = [("very " * (i % 7), " dog " * (i % 3), "") for i in range(200)]
    words = some_words(encoder, 400)
    found = encoder.encode_with(sentences, words)
    assert ("_texts" in vars(encoder)) != prepared
    for i in (0, 63, 64, 199):
        alone = encoder.encode_with(sentences[i : i + 1], words[2 * i : 2 * i + 2])
        np.testing.assert_allclose(found[i], alone[0], atol=1e-5)


def test_words_that_are_not_prepared_are_read_by_torch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = load(tiny_clip(tmp_path / "m"))
    with caplog.at_level(logging.INFO):
        assert encoder.encode_with(SENTENCES, some_words(encoder)).shape == (5, 24)
    assert "torch reads them" in caplog.text
    assert encoder.encode_with([], some_words(encoder, 0)).shape == (0, 24)


def test_prepared_words_of_another_kind_take_no_pseudo_words(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m", **FAMILIES["CoCa"])
    assert load(folder).prepare_texts()
    with pytest.raises(UsageError, match="no pseudo words"):
        load(folder).encode_with([("", "")], np.zeros((1, 32), np.float32))


def test_no_torch_is_imported(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m")
    assert load(folder).prepare_texts()
    code = (
        "import sys; import numpy as np; from vretr.encoders import load_encoder; "
        f"e = load_encoder({f'local-dir:{folder}'!r}, device='cpu'); "
        "e.encode_with([('a photo of ', ' in red')], np.ones((1, e.token_width), np.float32)); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'open_clip', 'transformers', 'timm')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu", "MobileCLIP2-S0"])
def test_real_sizes(name: str) -> None:
    encoder = load_encoder(f"{name}/random", device="cpu", precision="fp32")
    assert isinstance(encoder, OpenClip)
    assert encoder.prepare_texts()
    words = some_words(encoder)
    found = encoder.encode_with(SENTENCES, words)
    expected = encoder.embed(encoder.prompts(SENTENCES), torch.from_numpy(words))
    np.testing.assert_allclose(found, unit(expected.numpy()), atol=1e-5)
