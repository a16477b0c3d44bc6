"""MiniLM in NumPy against an independent implementation in torch, and what it must not do."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vretr.encoders.lite.text_tower import TextTower
from vretr.encoders.words.arrays import gelu

SENTENCES = [
    "a dog in the snow",
    "A man riding a wave on top of a surfboard, while it rains!",
    "x",
    "",
    "한국어 문장 😀",
    "word " * 400,
]


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return TextTower()


def in_torch(tower: TextTower, text: str) -> np.ndarray:
    """One sentence through BERT as torch's own functions spell it, float64, no padding."""
    w = {name: torch.from_numpy(value.astype(np.float64)) for name, value in tower.weights.items()}
    ids = torch.tensor(tower.tokenizer.encode(text).ids)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (384,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        q, k, v = (
            linear(x, f"{at}.attention.self.{part}").view(-1, 12, 32).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(-1, 384)
        attended = linear(mixed, f"{at}.attention.output.dense")
        x = norm(x + attended, f"{at}.attention.output.LayerNorm")
        hidden = F.gelu(linear(x, f"{at}.intermediate.dense"))
        x = norm(x + linear(hidden, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return F.normalize(x.mean(0), dim=0).numpy()


@pytest.mark.parametrize("text", SENTENCES, ids=range(len(SENTENCES)))
def test_a_sentence_is_what_torch_computes(tower: TextTower, text: str) -> None:
    np.testing.assert_allclose(tower([text])[0], in_torch(tower, text), atol=2e-6)


def test_a_sentence_alone_is_the_sentence_in_a_batch(tower: TextTower) -> None:
    together = tower(SENTENCES)
    for row, text in zip(together, SENTENCES, strict=True):
        np.testing.assert_allclose(row, tower([text])[0], atol=2e-6)


def test_gelu_is_the_exact_one() -> None:
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    expected = F.gelu(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(gelu(x.copy()), expected, atol=1e-6)


def test_words_are_read_without_torch() -> None:
    code = (
        "import sys; from vretr.encoders import load_encoder; "
        "load_encoder('lite').encode_texts(['a red car']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'timm', 'scipy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
