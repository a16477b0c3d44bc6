"""The heads: NumPy and torch agree, the joint space is what the formulas say, losses are right."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vretr.encoders.lite.heads import EASE_SHARE, EASE_SIZE, Heads
from vretr.encoders.lite.losses import contrastive, distillation
from vretr.encoders.lite.model import HeadsModule
from vretr.encoders.lite.shape import SEEN
from vretr.encoders.lite.train import true_of

MEMBERS = 3


@pytest.fixture
def module() -> HeadsModule:
    torch.manual_seed(0)
    module = HeadsModule(members=MEMBERS, hidden=16, image_dropout=0.5, text_dropout=0.5).eval()
    for side in (module.image, module.text):
        torch.nn.init.normal_(side.out, std=0.1)  # it starts at zero, which would hide it
        torch.nn.init.normal_(side.bias)
    module.fix(torch.randn(50, SEEN) * 3 + 1, unit_rows(1000, 384), least_trust=0.1)
    module.unite(torch.randn(40, SEEN), unit_rows(60, 384), unit_rows(512, 384))
    return module


def unit_rows(count: int, width: int) -> Tensor:
    return normalize(torch.randn(count, width), dim=1)


def test_inference_in_numpy_is_the_trained_module(module: HeadsModule) -> None:
    seen, sentences = torch.randn(4, SEEN), unit_rows(4, 384)
    probabilities = torch.randn(4, 1000).softmax(1)
    heads = Heads.of(module)
    with torch.no_grad():
        members = {"image": module.images(seen), "text": module.texts(sentences)}
        learned = {
            side: normalize(vectors.transpose(0, 1).flatten(1) @ module.projection, dim=1)
            for side, vectors in members.items()
        }
        named = normalize(probabilities**0.75 @ module.codes.float(), dim=1)
    images = heads.images(seen.numpy(), probabilities.numpy())
    texts = heads.texts(sentences.numpy())
    with torch.no_grad():
        everyday = normalize(module.everyday.float(), dim=1)
        scores = (20 * learned["image"] @ everyday.T).exp().mean(1).log() / 20
        ease = (scores - module.mean_ease) / 0.3
    shorten = (1 + ease**2 + 0.7**2).sqrt()[:, None]  # the learned part has length 1
    np.testing.assert_allclose(images[:, :255], learned["image"] / shorten, atol=1e-5)
    np.testing.assert_allclose(images[:, 255], ease / shorten[:, 0], atol=1e-5)
    np.testing.assert_allclose(images[:, 256:], 0.7 * named / shorten, atol=1e-5)
    # Random texts name nothing, so that only the least trust is left of 4.
    shorten = math.sqrt(1 + 0.15**2 + (4 * 0.1) ** 2)
    np.testing.assert_allclose(texts[:, :255], learned["text"] / shorten, atol=1e-5)
    np.testing.assert_allclose(texts[:, 255], -0.15 / shorten, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts[:, 256:], axis=1), 0.4 / shorten, atol=1e-4)


def test_what_is_found_on_everything_loses_half_of_its_ease(module: HeadsModule) -> None:
    """The difference of two pictures' scores, made by hand from their learned parts and ease."""
    heads = Heads.of(module)
    seen = np.random.default_rng(0).standard_normal((2, SEEN), np.float32)
    x = (seen - heads.tensors["image.mean"]) / heads.tensors["image.std"]
    learned, text = heads.united("image", x), heads.united("text", unit_rows(1, 384).numpy())
    ease = heads.ease(learned) - heads.tensors["mean_ease"]
    joint = np.concatenate([learned, ease / EASE_SIZE], axis=1)
    asked = np.append(text, -EASE_SHARE * EASE_SIZE)
    np.testing.assert_allclose(joint @ asked, (learned @ text.T - 0.5 * ease)[:, 0], atol=1e-5)


def test_members_side_by_side_keep_the_mean_of_their_cosines(module: HeadsModule) -> None:
    """Fewer vectors than dimensions span less than is kept: nothing is lost."""
    seen, sentences = torch.randn(30, SEEN), unit_rows(20, 384)
    module.unite(seen, sentences, unit_rows(512, 384))
    heads = Heads.of(module)
    x = (seen.numpy() - heads.tensors["image.mean"]) / heads.tensors["image.std"]
    images, texts = heads.members("image", x), heads.members("text", sentences.numpy())
    cosines = (images @ texts.T) / MEMBERS
    np.testing.assert_allclose(
        heads.united("image", x) @ heads.united("text", sentences.numpy()).T, cosines, atol=1e-4
    )


def test_the_name_of_a_class_finds_its_photo_among_all(module: HeadsModule) -> None:
    """Every class has one photo that its classifier is right about by half."""
    heads = Heads.of(module)
    probabilities = (0.5 * torch.eye(1000) + 0.5 * (torch.randn(1000, 1000) * 2).softmax(1)).numpy()
    images = heads.images(np.zeros((1000, SEEN), np.float32), probabilities)
    texts = heads.texts(heads.tensors["class_names"])
    assert ((texts @ images.T).argmax(1) == np.arange(1000)).mean() > 0.99


def test_a_text_that_names_no_class_is_left_to_the_learned_part(module: HeadsModule) -> None:
    heads = Heads.of(module)
    name = heads.tensors["class_names"][:1]
    shares = [np.linalg.norm(heads.texts(text)[0, 256:]) for text in (name, -name)]
    assert shares[0] > 0.96 and shares[1] < 0.38


def test_contrastive_is_the_mean_of_both_directions() -> None:
    angles = torch.tensor([0.1, 0.9, 2.0])
    images = torch.stack([angles.cos(), angles.sin()], 1)
    texts = images.roll(1, 0)
    scale = torch.tensor(5.0)
    same = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)
    logits = (scale * images @ texts.T).tolist()

    def towards(rows: list[list[float]], positives: list[list[bool]]) -> float:
        total = 0.0
        for row, positive in zip(rows, positives, strict=True):
            log_sum = math.log(sum(math.exp(x) for x in row))
            chosen = [x - log_sum for x, p in zip(row, positive, strict=True) if p]
            total -= sum(chosen) / len(chosen)
        return total / len(rows)

    columns = [list(column) for column in zip(*logits, strict=True)]
    expected = (towards(logits, same.tolist()) + towards(columns, same.T.tolist())) / 2
    told = contrastive(images[None], texts[None], same, scale[None])
    assert told.item() == pytest.approx(expected, rel=1e-5)


def test_each_member_learns_as_if_alone() -> None:
    draws = torch.Generator().manual_seed(0)
    images, texts = torch.randn(2, 2, 4, 8, generator=draws)
    scale, same = torch.tensor([3.0, 7.0]), torch.eye(4, dtype=torch.bool)
    alone = sum(
        contrastive(images[m : m + 1], texts[m : m + 1], same, scale[m : m + 1]) for m in (0, 1)
    )
    torch.testing.assert_close(contrastive(images, texts, same, scale), alone)


def test_distillation_is_least_where_the_space_says_what_the_classifier_says() -> None:
    classes = torch.eye(3)
    probabilities = torch.tensor([[0.8, 0.1, 0.1]])
    scale = torch.tensor([3.0])
    right = distillation(torch.tensor([[[1.0, 0, 0]]]), classes[None], probabilities, scale)
    wrong = distillation(torch.tensor([[[0, 1.0, 0]]]), classes[None], probabilities, scale)
    assert right < wrong


def test_a_text_is_true_of_every_photo_that_has_it() -> None:
    texts = torch.tensor([[1, 2], [2, 3], [4, 5]])
    drawn = torch.tensor([2, 3, 5])
    expected = [[True, False, False], [True, True, False], [False, False, True]]
    assert true_of(texts, drawn).tolist() == expected
