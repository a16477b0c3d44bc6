"""The text towers in NumPy against open_clip's own, family by family."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.vretr.encoders.tiny import FAMILIES, reference, stirred, tiny_clip
from vretr.encoders import load_encoder
from vretr.encoders.openclip import OpenClip
from vretr.errors import VretrError

TEXTS = [
    "a dog",
    "",
    "two cats, one of them black, on a sofa beside the window, and a bird that nobody sees at all",
    "a dog",
    "naïve café & 東京 ☃",
]


def load(folder: Path, **settings: Any) -> OpenClip:
    encoder = load_encoder(f"local-dir:{folder}", **settings)
    assert isinstance(encoder, OpenClip)
    return encoder


def unit(rows: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(rows.detach().float(), dim=-1).numpy()


def of_open_clip(folder: Path) -> np.ndarray:
    model = reference(folder)
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    with torch.inference_mode():
        read = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS))
    return unit(read[0] if isinstance(read, tuple) else read)


@pytest.mark.parametrize("family", FAMILIES)
def test_as_open_clip_reads(family: str, tmp_path: Path) -> None:
    folder = stirred(tiny_clip(tmp_path / "m", **FAMILIES[family]))
    load(folder).prepare_texts()
    encoder = load(folder)
    found = encoder.encode_texts(TEXTS)
    assert encoder._words is not None
    assert "_texts" not in vars(encoder)
    np.testing.assert_allclose(found, of_open_clip(folder), atol=2e-5)
    assert found.dtype == np.float32
    alone = np.concatenate([encoder.encode_texts([one]) for one in TEXTS])
    np.testing.assert_allclose(alone, found, atol=2e-5)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return stirred(tiny_clip(tmp_path / "m"))


def words_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "words").glob("*/*"))


def test_float32_weights_are_mapped_where_they_lie(model: Path, own_home: Path) -> None:
    assert load(model).prepare_texts()
    assert words_in(own_home) == ["words.json"]


@pytest.mark.parametrize("form", ["half", "torch"])
def test_other_weights_are_written_in_float32(form: str, model: Path, own_home: Path) -> None:
    path = model / "open_clip_model.safetensors"
    state = {name: tensor.half().float() for name, tensor in load_file(path).items()}
    save_file(state, path)
    expected = load(model, precision="fp32").encode_texts(TEXTS)
    path.unlink()
    if form == "half":
        save_file({name: tensor.half() for name, tensor in state.items()}, path)
    else:
        torch.save(state, model / "open_clip_pytorch_model.bin")
    assert load(model).prepare_texts()
    assert words_in(own_home) == ["tower.safetensors", "words.json"]
    found = load(model)
    assert found._words is not None
    np.testing.assert_allclose(found.encode_texts(TEXTS), expected, atol=2e-5)


def test_the_same_weights_in_half_do_not_use_what_was_mapped(model: Path) -> None:
    path = model / "open_clip_model.safetensors"
    state = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file({name: tensor.float() for name, tensor in state.items()}, path)
    whole = load(model)
    assert whole.prepare_texts()
    save_file(state, path)
    half = load(model)
    assert half.identity == whole.identity
    assert half._words is None
    assert half.prepare_texts()


def test_what_is_prepared_is_left_as_it_is(
    model: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    assert load(model).prepare_texts()
    monkeypatch.setattr("vretr.encoders.words.preparing.prepare", None)
    assert load(model).prepare_texts()


def test_changed_weights_are_not_answered_by_the_old_words(model: Path) -> None:
    assert load(model).prepare_texts()
    before = load(model).encode_texts(TEXTS)
    tiny_clip(model, seed=1)
    encoder = load(model)
    assert encoder._words is None
    assert np.abs(encoder.encode_texts(TEXTS) - before).max() > 0.1


def test_a_changed_configuration_is_another_model(model: Path) -> None:
    assert load(model).prepare_texts()
    card = model / "open_clip_config.json"
    card.write_text(card.read_text().replace('"heads": 2', '"heads": 4'))
    encoder = load(model)
    assert encoder._words is None
    assert encoder.prepare_texts()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), of_open_clip(model), atol=2e-5)


@pytest.mark.parametrize("package", ["torch", "open_clip_torch"])
def test_random_weights_hang_on_the_versions(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_encoder("ViT-B-32/random").identity

    def version(name: str) -> str:
        return "99" if name == package else "3.3.0"

    monkeypatch.setattr("vretr.encoders.blueprint.version", version)
    assert load_encoder("ViT-B-32/random").identity != before


def test_damage_is_told_and_mended(
    model: Path, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(model).prepare_texts()
    (card,) = (own_home / "words").glob("*/words.json")
    card.write_bytes(b"{")
    with caplog.at_level(logging.INFO):
        assert load(model)._words is None
    assert "cannot be read" in caplog.text
    assert load(model).prepare_texts()
    assert load(model)._words is not None


def test_a_home_that_cannot_be_written(
    model: Path, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_home.write_text("not a folder")
    encoder = load(model)
    with caplog.at_level(logging.INFO):
        assert not encoder.prepare_texts()
    assert "will need torch" in caplog.text
    assert encoder.encode_texts(["a dog"]).shape == (1, 24)


def test_damaged_weights_are_an_error(model: Path, own_home: Path) -> None:
    (model / "open_clip_model.safetensors").write_bytes(bytes(1000))
    with pytest.raises(VretrError, match="cannot be read as weights"):
        load(model).prepare_texts()
    assert words_in(own_home) == []


def test_a_wrong_forward_is_not_taken(
    model: Path,
    own_home: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vretr.encoders.words.clip.split", lambda x, heads: x[:, None])
    with caplog.at_level(logging.INFO):
        assert not load(model).prepare_texts()
    assert "of other vectors" in caplog.text
    assert words_in(own_home) == []


def test_when_torch_reads_all_the_same(model: Path) -> None:
    assert load(model).prepare_texts()
    for settings, texts in (
        ({"precision": "bf16"}, ["a dog"]),
        ({"precision": "fp32"}, ["a dog"] * 257),
    ):
        encoder = load(model, **settings)
        assert encoder.encode_texts(texts).shape == (len(texts), 24)
        assert "_texts" in vars(encoder)
    assert load(model).encode_texts([]).shape == (0, 24)


def test_a_long_text_is_cut_with_one_warning(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(model).prepare_texts()
    encoder = load(model)
    encoder.encode_texts(["word " * 14])
    assert not caplog.records
    encoder.encode_texts(["word " * 15])
    encoder.encode_texts(["word " * 16])
    assert [record.getMessage() for record in caplog.records] == [
        "A text is longer than the 14 tokens that the model reads; its end is left out."
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["ViT-B-32", "ViT-B-32-quickgelu", "PE-Core-S-16-384", "MobileCLIP2-S0", "coca_ViT-B-32"],
)
def test_real_sizes(name: str) -> None:
    encoder = load_encoder(f"{name}/random", precision="fp32")
    assert isinstance(encoder, OpenClip)
    assert encoder.prepare_texts()
    found = encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(found, unit(encoder._texts.read(TEXTS)), atol=2e-5)
