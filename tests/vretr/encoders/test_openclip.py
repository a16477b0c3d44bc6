import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.vretr.encoders.tiny import MODEL, reference, tiny_clip
from vretr.encoders import PseudoTextEncoder, load_encoder
from vretr.encoders.base import KeepsLengths
from vretr.encoders.openclip import OpenClip
from vretr.encoders.prompts import Prompts
from vretr.encoders.texts import OtherTexts
from vretr.errors import UsageError, VretrError

TEXTS = ["a dog", "", "two cats, one of them black, on a sofa", "a dog"]


def load(folder: Path, **settings: Any) -> OpenClip:
    encoder = load_encoder(f"local-dir:{folder}", **({"precision": "fp32"} | settings))
    assert isinstance(encoder, OpenClip)
    return encoder


def unit(rows: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(rows.detach().float(), dim=-1).numpy()


def test_it_is_a_pseudo_text_encoder(tiny: Path) -> None:
    encoder = load(tiny)
    assert isinstance(encoder, PseudoTextEncoder)
    assert (encoder.dim, encoder.token_width, encoder.reads_text) == (24, 32, True)
    assert encoder.name == f"local-dir:{tiny}"
    assert encoder.preprocessing.size == 32


def test_pictures_as_open_clip_encodes_them(tiny: Path, pictures: list[Image.Image]) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny}")
    model.eval()
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([preprocess(p) for p in pictures[:4]]))
    encoder = load(tiny)
    encoder.design = replace(  # Pillow's reduced-scale shortcut is ours, not open_clip's
        encoder.design, preprocessing=replace(encoder.preprocessing, gap=0)
    )
    np.testing.assert_allclose(encoder.encode_images(pictures[:4]), unit(expected), atol=1e-5)


def test_texts_as_open_clip_encodes_them(tiny: Path) -> None:
    model = open_clip.create_model(f"local-dir:{tiny}").eval()
    with torch.inference_mode():
        ids = open_clip.get_tokenizer(f"local-dir:{tiny}")(TEXTS)
        expected = model.encode_text(ids)
    np.testing.assert_allclose(load(tiny).encode_texts(TEXTS), unit(expected), atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"quick_gelu": True},
        {"custom_text": True},
        {"custom_text": True, "text_cfg": MODEL["text_cfg"] | {"no_causal_mask": True}},
        {
            "custom_text": True,
            "text_cfg": MODEL["text_cfg"]
            | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
        },
        {"text_cfg": MODEL["text_cfg"] | {"pool_type": "eos", "eos_id": 49407}},
        {"custom_text": True, "text_cfg": MODEL["text_cfg"] | {"embed_cls": True}},
        {"custom_text": True, "text_cfg": MODEL["text_cfg"] | {"output_tokens": True}},
        {"vision_cfg": MODEL["vision_cfg"] | {"layers": [1, 1, 1, 1], "image_size": 64}},
        {
            "custom_text": True,
            "vision_cfg": {"timm_model_name": "vit_tiny_patch16_224", "image_size": 224},
        },
    ],
    ids=lambda changes: (
        "-".join(
            str(key)
            for part in changes.values()
            if isinstance(part, dict)
            for key in part
            if key not in MODEL["text_cfg"]
        )
        or next(iter(changes))
    ),
)
def test_every_kind_of_tower(
    changes: dict[str, Any], tmp_path: Path, pictures: list[Image.Image]
) -> None:
    folder = tiny_clip(tmp_path / "m", seed=3, **changes)
    model = reference(folder, seed=3)
    encoder = load(folder)
    pixels = np.stack([encoder.preprocessing.pixels(p.convert("RGB")) for p in pictures])
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    tensor = (tensor - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor(
        [0.2, 0.25, 0.3]
    ).view(3, 1, 1)
    ids = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    with torch.inference_mode():
        seen, read = model.encode_image(tensor), model.encode_text(ids)
    read = read[0] if isinstance(read, tuple) else read
    np.testing.assert_allclose(
        encoder.encode_images(pixels.transpose(0, 3, 1, 2)), unit(seen), atol=1e-5
    )
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), unit(read), atol=1e-5)


def embedding(encoder: OpenClip, word: str) -> torch.Tensor:
    """What the tower looks up for a word of one token."""
    texts = encoder._clip_texts
    start_word_end = texts.prompts([(word,)]).ids[0]
    assert len(start_word_end) == 3
    return texts._tower.token_embedding.weight[start_word_end[1]].detach()


def test_a_pseudo_word_that_is_a_word(tiny: Path) -> None:
    encoder = load(tiny)
    sentences = [
        ("a photo of ", " that is red"),
        ("", ", pencil sketch"),
        ("a photo of a ", "."),
        ("", ""),
    ]
    words = embedding(encoder, "cat").expand(4, -1)
    found = encoder.embed(encoder.prompts(sentences), words)
    assert found.dtype == torch.float32
    expected = encoder.encode_texts(["cat".join(pieces) for pieces in sentences])
    np.testing.assert_allclose(unit(found), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_with(sentences, words.numpy()), expected, atol=1e-6)


def test_pseudo_words_stand_in_their_order(tiny: Path) -> None:
    encoder = load(tiny)
    dog, cat = embedding(encoder, "dog"), embedding(encoder, "cat")
    sentences = [("a ", " and a ", ""), ("no $ here",), ("a long one for ", ""), ("", "", "?")]
    words = torch.stack([dog, cat, cat, cat, dog])
    expected = encoder.encode_texts(
        ["a dog and a cat", "no $ here", "a long one for cat", "cat dog?"]
    )
    found = encoder.embed(encoder.prompts(sentences), words)
    np.testing.assert_allclose(unit(found), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_with(sentences, words.numpy()), expected, atol=1e-6)


def test_the_gradient_reaches_the_words_and_nothing_else(tiny: Path) -> None:
    encoder = load(tiny)
    encoder.encode_texts(["first without gradients"])
    prompts = encoder.prompts([("a ", " on grass"), ("", "")])
    words = torch.randn(2, 32, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 24)

    def loss(words: torch.Tensor) -> torch.Tensor:
        return (encoder.embed(prompts, words) * target).sum()

    loss(words).backward()
    assert words.grad is not None
    step = 1e-2 * torch.randn_like(words)
    with torch.no_grad():
        change = float(loss(words + step) - loss(words - step)) / 2
    assert change == pytest.approx(float((words.grad * step).sum()), rel=2e-2)
    assert all(p.grad is None for p in encoder._clip_texts._tower.parameters())


def test_gradients_after_a_tower_in_16_bits_was_built_without(tiny: Path) -> None:
    encoder = load(tiny, precision="bf16")
    encoder.encode_texts(["first without gradients"])
    words = torch.randn(1, 32, requires_grad=True)
    encoder.embed(encoder.prompts([("a ", "")]), words).sum().backward()
    assert words.grad is not None and words.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 32), (3, 32), (2, 31), (32,), (2, 1, 32)])
def test_words_that_do_not_fit(shape: tuple[int, ...], tiny: Path) -> None:
    encoder = load(tiny)
    sentences = [("", " and ", "")]
    with pytest.raises(ValueError, match=r"\[2, 32\]"):
        encoder.embed(encoder.prompts(sentences), torch.zeros(shape))
    with pytest.raises(ValueError, match=r"\[2, 32\]"):
        encoder.encode_with(sentences, np.zeros(shape, np.float32))


def test_places_without_words_are_refused(tiny: Path) -> None:
    encoder = load(tiny)
    with pytest.raises(ValueError, match=r"\[1, 32\]"):
        encoder.embed(encoder.prompts([("a ", "")]))


def test_the_length_of_a_picture_is_kept(tiny: Path, pictures: list[Image.Image]) -> None:
    encoder = load(tiny)
    assert isinstance(encoder, KeepsLengths)
    pixels = np.stack([encoder.preprocessing.pixels(p.convert("RGB")) for p in pictures])
    pixels = pixels.transpose(0, 3, 1, 2)
    model = open_clip.create_model(f"local-dir:{tiny}").eval()
    mean, std = (torch.tensor(row).view(3, 1, 1) for row in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    with torch.inference_mode():
        expected = model.encode_image((torch.from_numpy(pixels) / 255 - mean) / std)
    found = encoder.project_images(pixels)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert found.dtype == np.float32
    assert encoder.project_images([]).shape == (0, 24)


def test_a_long_text_is_cut_with_one_warning(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = load(tiny)
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    with caplog.at_level(logging.WARNING):
        whole = encoder.encode_texts([words])
        assert not caplog.records
        cut = encoder.encode_texts([f"{words} fifteen", f"{words} sixteen"])
    assert len(caplog.records) == 1
    np.testing.assert_allclose(cut, whole.repeat(2, 0), atol=1e-6)


def test_a_place_is_never_cut_away(tiny: Path) -> None:
    encoder = load(tiny)
    words = torch.randn(1, 32)
    long = encoder.embed(encoder.prompts([("word " * 20, " and more")]), words)
    assert torch.equal(long, encoder.embed(encoder.prompts([("word " * 13, "")]), words))


@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(causal: bool, tmp_path: Path) -> None:
    text = MODEL["text_cfg"] | {"no_causal_mask": not causal}
    encoder = load(tiny_clip(tmp_path / "m", custom_text=True, text_cfg=text))
    prompts = encoder.prompts([("a ", " on grass"), ("", "")])
    words = torch.randn(2, 32)
    expected = encoder.embed(prompts, words)
    assert prompts.ids.shape[1] < 16
    torch.testing.assert_close(encoder.embed(prompts.padded(16), words), expected)


def test_an_end_token_in_a_text_hides_what_follows(tiny: Path) -> None:
    encoder = load(tiny)
    hidden = encoder.prompts([("a dog <end_of_text> and a ", "")])
    expected = encoder.encode_texts(["a dog"])
    np.testing.assert_allclose(unit(encoder.embed(hidden, torch.ones(1, 32))), expected, atol=1e-6)


def test_only_what_is_used_is_built(tiny: Path, pictures: list[Image.Image]) -> None:
    encoder = load(tiny)
    assert encoder.identity
    encoder.encode_images(pictures)
    assert "_image_tower" in vars(encoder)
    assert "_texts" not in vars(encoder)
    encoder = load(tiny)
    encoder.encode_texts(TEXTS)
    assert "_image_tower" not in vars(encoder)


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("form", ["as made", "text apart", "half", "data-parallel"])
def test_identity_is_that_of_the_weights_not_of_the_file(
    file: str, form: str, tiny: Path, tmp_path: Path
) -> None:
    state = load_file(tiny / "open_clip_model.safetensors")
    if form == "half":
        state = {name: tensor.half() for name, tensor in state.items()}
        save_file(
            {name: tensor.float() for name, tensor in state.items()},
            tmp_path / "open_clip_model.safetensors",
        )
        (tmp_path / "open_clip_config.json").write_bytes(
            (tiny / "open_clip_config.json").read_bytes()
        )
        expected = load(tmp_path).identity
    else:
        expected = load(tiny).identity
    if form == "text apart":
        heads = ("visual", "logit_scale")
        state = {n if n.startswith(heads) else f"text.{n}": t for n, t in state.items()}
    if form == "data-parallel":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    other = tmp_path / "other"
    other.mkdir()
    (other / "open_clip_config.json").write_bytes((tiny / "open_clip_config.json").read_bytes())
    if file.endswith(".pt"):
        torch.save({"state_dict": state, "epoch": 1}, other / "open_clip_pytorch_model.bin")
    else:
        save_file(state, other / "open_clip_model.safetensors")
    encoder = load(other)
    assert encoder.identity == expected
    assert encoder.encode_texts(["x"]).shape == (1, 24)


def test_identity_tells_weights_activation_and_preprocessing_apart(
    tiny: Path, tmp_path: Path
) -> None:
    config = (tiny / "open_clip_config.json").read_text()
    found = {load(tiny).identity, load(tiny_clip(tmp_path / "seed", seed=1)).identity}
    found.add(load(tiny_clip(tmp_path / "quick", quick_gelu=True)).identity)
    other = tiny_clip(tmp_path / "fit")
    (other / "open_clip_config.json").write_text(config.replace("squash", "shortest"))
    found.add(load(other).identity)
    assert len(found) == 4
    assert load(tiny, precision="bf16").identity == load(tiny_clip(tmp_path / "same")).identity


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda state: state.pop("visual.proj"), "missing"),
        (lambda state: state.update({"visual.more": torch.ones(1)}), "too many"),
        (lambda state: state.update({"head.weight": torch.ones(1)}), "no tensor head.weight"),
        (lambda state: state.update({"visual.proj": torch.ones(9, 9)}), "another shape"),
    ],
)
def test_weights_that_do_not_fit(
    damage: Any, says: str, tmp_path: Path, pictures: list[Image.Image]
) -> None:
    folder = tiny_clip(tmp_path / "m")
    state = load_file(folder / "open_clip_model.safetensors")
    damage(state)
    save_file(state, folder / "open_clip_model.safetensors")
    with pytest.raises(VretrError, match=says):
        load(folder).encode_images(pictures)


def test_the_rest_of_torch_is_left_as_it_was(tiny: Path, pictures: list[Image.Image]) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    encoder = load(tiny)
    encoder.encode_images(pictures)
    encoder.encode_texts(TEXTS)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.is_autocast_enabled("cpu")


def test_words_of_a_foreign_tokenizer(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = MODEL["text_cfg"] | {"hf_tokenizer_name": "bert-base-uncased"}
    folder = tiny_clip(tmp_path / "m", text_cfg=text)
    encoder = load(folder)
    assert encoder.encode_images(pictures).shape == (5, 24)
    with pytest.raises(VretrError, match="bert-base-uncased cannot be loaded"):
        encoder.encode_texts(["x"])  # the folder holds no tokenizer
    monkeypatch.setattr("vretr.encoders.texts.find_spec", lambda name: None)
    with pytest.raises(VretrError, match="pip install transformers"):
        encoder.encode_texts(["x"])


def test_a_tower_of_another_kind_takes_no_pseudo_words(tmp_path: Path) -> None:
    text = MODEL["text_cfg"] | {"embed_cls": True}
    encoder = load(tiny_clip(tmp_path / "m", custom_text=True, text_cfg=text))
    prompts = Prompts(np.array([[1, 2, 3]]), np.array([0]), np.array([1]))
    for call in (
        lambda: encoder.token_width,
        lambda: encoder.prompts([("", "")]),
        lambda: encoder.embed(prompts, torch.zeros(1, 32)),
        lambda: encoder.encode_with([("", "")], np.zeros((1, 32), np.float32)),
    ):
        with pytest.raises(UsageError, match="no pseudo words"):
            call()
    assert "_texts" not in vars(encoder)
    assert encoder.encode_texts(["a dog"]).shape == (1, 24)
    assert isinstance(encoder._texts, OtherTexts)


@pytest.mark.slow
def test_random_weights_are_the_same_everywhere_and_say_so(
    caplog: pytest.LogCaptureFixture, pictures: list[Image.Image]
) -> None:
    with caplog.at_level(logging.WARNING):
        first = load_encoder("ViT-B-32/random", precision="fp32")
    assert "random" in caplog.text
    torch.manual_seed(99)
    second = load_encoder("ViT-B-32/random", precision="fp32")
    assert first.identity == second.identity != load_encoder("ViT-B-16/random").identity
    words = first.encode_texts(TEXTS)  # towers in the other order
    np.testing.assert_array_equal(first.encode_images(pictures), second.encode_images(pictures))
    np.testing.assert_array_equal(words, second.encode_texts(TEXTS))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "RN50", "MobileCLIP2-S0", "coca_ViT-B-32"])
def test_real_architectures(name: str, tmp_path: Path, pictures: list[Image.Image]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model(name).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    encoder = load_encoder(f"{name}@{tmp_path / 'w.safetensors'}", precision="fp32")
    pre = encoder.preprocessing
    pixels = np.stack([pre.pixels(p.convert("RGB")) for p in pictures]).transpose(0, 3, 1, 2)
    tensor = torch.from_numpy(pixels) / 255
    tensor = (tensor - torch.tensor(pre.mean).view(3, 1, 1)) / torch.tensor(pre.std).view(3, 1, 1)
    with torch.inference_mode():
        seen = model.encode_image(tensor)
        read = model.encode_text(open_clip.get_tokenizer(name)(TEXTS))
    np.testing.assert_allclose(encoder.encode_images(pixels), unit(seen), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), unit(read), atol=1e-5)
