"""The diffusion prior: a noisy vector, a time and what leads it -> the vector without noise."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from compodiff.layers import DISTANCES, CrossAttention, FeedForward, Norm, SelfAttention, mlp, wave

BUCKETS = 32  # of distances; the stream's two tokens use two

Keys = list[Tensor]
"""What leads the denoising, as each block attends to it: [B, 2, heads, L, head_dim] a block."""


class Block(nn.Module):
    """The stream to itself, to what leads it, and each token by itself; all are added to it."""

    def __init__(self, width: int, heads: int, head_dim: int, cross_heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, head_dim)
        self.cross = CrossAttention(width, cross_heads, head_dim)
        self.feed = FeedForward(width)

    def forward(self, x: Tensor, bias: Tensor, keys: Tensor) -> Tensor:
        x = x + self.attention(x, bias)
        x = x + self.cross(x, keys)
        return x + self.feed(x)


class Prior(nn.Module):
    """CompoDiff's network. It tells the clean vector itself, not the noise.

    Its stream has two tokens, the noisy vector and the time; the words, the picture and the mask
    are only attended to. So their keys depend on neither noise nor time, and are made once for all
    steps: `forward` is `denoise` with the `keys` of the `tokens`.

    A condition that is absent: the picture is the zero vector, the words are those of the empty
    string, the mask is zero everywhere.

    Departures from the authors' code: `width` may differ from `dim`; and before the last norm they
    divide by the largest number of each token, which would flip all signs where that is negative,
    as it never is among 768 numbers: here by its size.
    """

    def __init__(
        self,
        *,
        dim: int,
        width: int | None = None,
        depth: int,
        heads: int,
        head_dim: int = 64,
        cross_heads: int = 8,
        text_width: int,
        mask_size: int = 64,
    ) -> None:
        """
        Args:
            dim: of the vectors.
            width: of the tokens, even; None: `dim`, without projections in and out.
            heads: of self-attention; `cross_heads` attend to the conditions.
            text_width: of the words' tokens.
            mask_size: side of the masks.

        Raises:
            ValueError: the width is odd.
        """
        super().__init__()
        self.settings: dict[str, Any] = {
            "dim": dim,
            "width": width,
            "depth": depth,
            "heads": heads,
            "head_dim": head_dim,
            "cross_heads": cross_heads,
            "text_width": text_width,
            "mask_size": mask_size,
        }
        self.dim, self.width = dim, width or dim
        if self.width % 2:
            raise ValueError(f"the width is {self.width}, but must be even")
        self.into = nn.Identity() if width is None else nn.Linear(dim, width)
        self.text = nn.Linear(text_width, self.width)
        self.time = mlp(self.width, self.width)
        self.mask = mlp(mask_size**2, self.width)
        self.distances = nn.Parameter(torch.randn(BUCKETS, heads))
        self.blocks = nn.ModuleList(
            Block(self.width, heads, head_dim, cross_heads) for _ in range(depth)
        )
        self.norm = Norm(self.width)
        self.out = nn.Linear(self.width, dim, bias=False)

    def forward(
        self, noisy: Tensor, image: Tensor, text: Tensor, mask: Tensor, t: Tensor
    ) -> Tensor:
        """The clean vectors, [B, dim].

        Args:
            noisy, image: [B, dim].
            text: [B, L, text_width].
            mask: [B, mask_size, mask_size], 1 where the picture is to be made anew.
            t: [B], from 0 to T - 1, as float.
        """
        tokens = [self.text(text), self.picture_token(image), self.mask_token(mask)]
        return self.denoise(noisy, t, self.keys(torch.cat(tokens, dim=1)))

    def picture_token(self, image: Tensor) -> Tensor:
        """[B, dim] -> [B, 1, width]."""
        return self.into(image)[:, None]

    def mask_token(self, mask: Tensor) -> Tensor:
        """[B, mask_size, mask_size] -> [B, 1, width]."""
        return self.mask(mask.flatten(1))[:, None]

    def keys(self, tokens: Tensor) -> Keys:
        """Tokens [B, L, width] -> what the blocks attend to. Each token is read by itself, so keys
        of several kinds of tokens are joined along their dimension 3."""
        return [cast(Block, block).cross.keys(tokens) for block in self.blocks]

    def denoise(self, noisy: Tensor, t: Tensor, keys: Keys) -> Tensor:
        """The clean vectors [B, dim]; `noisy` [B, dim], `t` [B]."""
        time = self.time(wave(t, self.width).to(noisy.dtype))
        stream = torch.stack([self.into(noisy), time], dim=1)
        bias = self.distances[torch.tensor(DISTANCES, device=noisy.device)].permute(2, 0, 1)
        for block, key in zip(self.blocks, keys, strict=True):
            stream = block(stream, bias, key)
        vector = stream[:, 0]
        largest = vector.detach().amax(dim=1, keepdim=True).abs()
        return self.out(self.norm(vector / largest))
