"""The heads as a torch module: the same tensors and formulas as `heads.Heads`, with gradients."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vretr.encoders.lite.heads import Heads, principal_components
from vretr.encoders.lite.shape import CLASSES, EVERYDAY, LEARNED, MEMBER, NAMED, SEEN, TEXT


class Side(nn.Module):
    """M members, each a linear map plus a small MLP beside it, to unit length."""

    def __init__(self, width: int, *, members: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear = _uniform(members, width, MEMBER)
        self.hidden = _uniform(members, width, hidden)
        self.bias = nn.Parameter(torch.zeros(members, 1, hidden))
        # The MLP adds to the linear map what that cannot say.
        self.out = nn.Parameter(torch.zeros(members, hidden, MEMBER))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] -> [M, B, 256], unit length; each member drops inputs of its own."""
        x = self.dropout(x.expand(len(self.linear), *x.shape))
        return F.normalize(x @ self.linear + F.gelu(x @ self.hidden + self.bias) @ self.out, dim=-1)


class ImageSide(Side):
    """A side that standardises what comes in."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, *, members: int, hidden: int, dropout: float) -> None:
        super().__init__(width, members=members, hidden=hidden, dropout=dropout)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] -> [M, B, 256], unit length."""
        return super().forward((x - self.mean) / self.std)


class HeadsModule(nn.Module):
    """What is trained: the two learned sides and a temperature for each member.

    The buffers hold what inference needs besides: the standardisation of what is seen, the classes'
    names and codes, and how the members' vectors become one.
    """

    projection: Tensor
    everyday: Tensor
    mean_ease: Tensor
    class_names: Tensor
    codes: Tensor
    least_trust: Tensor

    def __init__(
        self, *, members: int, hidden: int, image_dropout: float, text_dropout: float
    ) -> None:
        super().__init__()
        self.image = ImageSide(SEEN, members=members, hidden=hidden, dropout=image_dropout)
        self.text = Side(TEXT, members=members, hidden=hidden, dropout=text_dropout)
        self.register_buffer("projection", torch.zeros(members * MEMBER, LEARNED - 1))
        self.register_buffer("everyday", torch.zeros(EVERYDAY, LEARNED - 1, dtype=torch.int8))
        self.register_buffer("mean_ease", torch.tensor(0.0))
        self.register_buffer("class_names", torch.zeros(CLASSES, TEXT))
        self.register_buffer("codes", torch.zeros(CLASSES, NAMED, dtype=torch.int8))
        self.register_buffer("least_trust", torch.tensor(0.0))
        self.log_scale = nn.Parameter(torch.full((members,), math.log(20.0)))

    def fix(self, seen: Tensor, class_names: Tensor, *, least_trust: float) -> None:
        """Sets the buffers before training.

        Args:
            seen: [N, 1832], to standardise by.
            class_names: unit vectors [1000, 384].
            least_trust: share of the class-name part in texts that name no class.
        """
        self.image.mean.copy_(seen.mean(0))
        # A colour cell that no photo has would otherwise divide by nothing.
        self.image.std.copy_(seen.std(0) + 1e-3)
        self.class_names.copy_(class_names)
        self.codes.copy_(torch.randint(2, self.codes.shape) * 2 - 1)
        self.least_trust.fill_(least_trust)

    def unite(self, seen: Tensor, sentences: Tensor, everyday: Tensor) -> None:
        """Makes the members one, and learns how easily photos are found.

        Args:
            seen: of photos, [N, 1832].
            sentences: vectors [T, 384] of their texts.
            everyday: vectors [512, 384] of texts as people write them.
        """
        heads = Heads.of(self)
        x = (seen.cpu().numpy() - heads.tensors["image.mean"]) / heads.tensors["image.std"]
        both = [heads.members("image", x), heads.members("text", sentences.cpu().numpy())]
        even = [vectors / len(vectors) ** 0.5 for vectors in both]  # each side counts the same
        projection = principal_components(np.concatenate(even), LEARNED - 1)
        self.projection.copy_(torch.from_numpy(projection))

        heads = Heads.of(self)
        told = heads.united("text", everyday.cpu().numpy())
        # Whole numbers, to spare room in the file: their length does not matter.
        whole = np.rint(told / np.abs(told).max(1, keepdims=True) * 127)
        self.everyday.copy_(torch.from_numpy(whole))
        self.mean_ease.fill_(float(Heads.of(self).ease(heads.united("image", x)).mean()))

    def images(self, seen: Tensor) -> Tensor:
        """What is seen [B, 1832] -> the members' image vectors [M, B, 256]."""
        return self.image(seen)

    def texts(self, sentences: Tensor) -> Tensor:
        """MiniLM vectors [B, 384] -> the members' text vectors [M, B, 256]."""
        return self.text(sentences)

    @property
    def scale(self) -> Tensor:
        """Inverse temperatures [M], at most 100 as in CLIP."""
        return self.log_scale.exp().clamp(max=100)


def _uniform(members: int, width: int, out: int) -> nn.Parameter:
    """As nn.Linear starts: even within 1 / sqrt(width)."""
    bound = width**-0.5
    return nn.Parameter(torch.empty(members, width, out).uniform_(-bound, bound))
