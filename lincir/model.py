"""φ, the network that turns a vector of the joint space into a pseudo word, and its noise."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 4  # times the vector's length: width of the hidden layers in the paper

NOISE_TO_LENGTH = 1.6
"""Length of the paper's noise, root mean square, over that of the features it was made for:
sqrt(768 / 3) = 16 over the 10 or so of OpenAI's ViT-L/14."""


class Phi(nn.Module):
    """Linear, GELU, dropout, linear, GELU, dropout, linear; neither norm nor residual.

    Buffers say what the numbers that it reads are like: `length` is the mean length of the text
    vectors it was trained on, `unit` whether it reads vectors of length 1.
    """

    length: Tensor
    unit: Tensor

    def __init__(
        self, dim: int, width: int, *, hidden: int = 0, dropout: float = 0.5, tokens: int = 1
    ) -> None:
        """
        Args:
            dim: of the vectors.
            width: of a word embedding.
            hidden: width of the hidden layers; 0: four times `dim`.
            tokens: pseudo words for one vector.
        """
        super().__init__()
        hidden = hidden or HIDDEN * dim
        self.tokens, self.width = tokens, width
        # Named as in LinCIR's and SEARLE's files: layers.0, layers.3, layers.6.
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, tokens * width),
        )
        self.register_buffer("length", torch.tensor(1.0))
        self.register_buffer("unit", torch.tensor(False))

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, dim] -> pseudo words [B, tokens, width]."""
        return self.layers(vectors).unflatten(1, (self.tokens, self.width))


def noisy(vectors: Tensor, scale: float) -> Tensor:
    """z + scale · u · n with u ~ U[0, 1) for each row and n ~ N(0, I): [B, dim] -> [B, dim].

    The paper's noise, which spreads text vectors so far that pictures fall among them. From torch's
    global generator.
    """
    uniform = torch.rand(len(vectors), 1, device=vectors.device)
    return vectors + scale * uniform * torch.randn_like(vectors, dtype=torch.float32)


def noise_scale(noise: float, lengths: Tensor, dim: int) -> float:
    """The `scale` of `noisy` in a space of vectors of these lengths.

    It is `noise` itself, as in the paper, for what CLIP's towers give. Where every vector has
    length 1, as with `lite`, it is chosen so that the noise has the same length in proportion.
    """
    if not torch.allclose(lengths, torch.ones_like(lengths), atol=1e-3):
        return noise
    return noise * NOISE_TO_LENGTH / (dim / 3) ** 0.5


def read_by_phi(vectors: Tensor, phi: Phi) -> Tensor:
    """Vectors [B, dim] as φ wants them: of length 1 if it was trained so."""
    return F.normalize(vectors, dim=1) if phi.unit else vectors
