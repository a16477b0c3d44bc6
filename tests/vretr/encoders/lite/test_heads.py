"""The heads: NumPy and torch agree, the joint space is what the formulas say, losses are right."""

import math

import numpy as np
import pytest
import torch

from vretr.encoders.lite.heads import Heads
from vretr.encoders.lite.losses import contrastive, distillation
from vretr.encoders.lite.model import HeadsModule
from vretr.encoders.lite.train import true_of


@pytest.fixture
def module() -> HeadsModule:
    torch.manual_seed(0)
    module = HeadsModule(hidden=16, dropout=0.5).eval()
    for side in (module.image, module.text):
        torch.nn.init.normal_(side.out.weight, std=0.1)  # it starts at zero, which would hide it
    module.fix(torch.randn(50, 1408) * 3 + 1, torch.randn(1000, 384), named_weight=0.4)
    return module


def test_inference_in_numpy_is_the_trained_module(module: HeadsModule) -> None:
    features, colours = torch.randn(4, 1280), torch.randn(4, 128)
    sentences = torch.nn.functional.normalize(torch.randn(4, 384), dim=1)
    probabilities = torch.randn(4, 1000).softmax(1)
    heads = Heads.of(module)
    images = heads.images(features.numpy(), probabilities.numpy(), colours.numpy())
    texts = heads.texts(sentences.numpy())
    shorten = math.sqrt(1 + 0.4**2)  # the learned part has length 1, the named part 0.4
    with torch.no_grad():
        learned = module.images(torch.cat([features, colours], 1)).numpy()
        said = module.texts(sentences).numpy()
        named = torch.nn.functional.normalize(probabilities @ module.class_names, dim=1).numpy()
    np.testing.assert_allclose(images[:, :256], learned / shorten, atol=1e-5)
    np.testing.assert_allclose(images[:, 256:], 0.4 * named / shorten, atol=1e-5)
    np.testing.assert_allclose(texts[:, :256], said / shorten, atol=1e-5)
    np.testing.assert_allclose(
        texts[0, 256:] / texts[0, 256], sentences[0] / sentences[0, 0], rtol=1e-3
    )
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)


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
    assert contrastive(images, texts, same, scale).item() == pytest.approx(expected, rel=1e-5)


def test_distillation_is_least_where_the_space_says_what_the_classifier_says() -> None:
    classes = torch.eye(3)
    probabilities = torch.tensor([[0.8, 0.1, 0.1]])
    right = distillation(torch.tensor([[1.0, 0.0, 0.0]]), classes, probabilities, torch.tensor(3.0))
    wrong = distillation(torch.tensor([[0.0, 1.0, 0.0]]), classes, probabilities, torch.tensor(3.0))
    assert right < wrong


def test_a_text_is_true_of_every_photo_that_has_it() -> None:
    texts = torch.tensor([[1, 2], [2, 3], [4, 5]])
    drawn = torch.tensor([2, 3, 5])
    expected = [[True, False, False], [True, True, False], [False, False, True]]
    assert true_of(texts, drawn).tolist() == expected
