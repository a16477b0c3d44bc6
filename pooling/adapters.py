"""What stands in a model where it pooled: modules and overridden methods that call a pooling."""

from typing import Any

from torch import Tensor, nn


class TokenPool(nn.Module):
    """A pooling where a model hands over tokens [B, K + N, D].

    Attributes:
        calls: how often it was called: a place that the model ignores is found by it.
    """

    def __init__(self, pool: nn.Module, *, prefix: int) -> None:
        """`prefix`: how many tokens before the patches are handed over."""
        super().__init__()
        self.pool, self.prefix, self.calls = pool, prefix, 0

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Tokens -> [B, out_dim].

        Args:
            x: [B, K + N, D].
            attn_mask: of NaFlexViT, [B, 1, 1, K + N]: added to the attention's scores, so that 0
                stands where a token counts and a very negative number where it is padding.
        """
        self.calls += 1
        mask = None
        if attn_mask is not None:
            mask = attn_mask.reshape(len(x), -1, x.shape[1])[:, 0, self.prefix :] >= -1
        return self.pool(x[:, self.prefix :], x[:, : self.prefix], mask)


class MapPool(nn.Module):
    """A pooling where a model hands over feature maps, in place of timm's SelectAdaptivePool2d."""

    # Some models of timm make their pooling anew in reset_classifier; they say this, then.
    pool_type = "replaced; undo() that before reset_classifier()"

    def __init__(
        self,
        pool: Any,
        *,
        width: int,
        channels_last: bool = False,
        flat: bool = True,
        linear: nn.Module | None = None,
    ) -> None:
        """
        Args:
            pool: the pooling.
            width: of the maps.
            channels_last: maps are [B, H, W, D].
            flat: whether [B, out_dim] is wanted, or [B, out_dim, 1, 1].
            linear: what follows.
        """
        super().__init__()
        self.pool: Any = pool
        self.linear = linear or nn.Identity()
        self.width, self.channels_last, self.flat, self.calls = width, channels_last, flat, 0

    def forward(self, x: Tensor) -> Tensor:
        """Maps -> vectors."""
        self.calls += 1
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        vectors = self.linear(self.pool(x))
        if self.flat:
            return vectors
        return vectors[:, None, None] if self.channels_last else vectors[..., None, None]

    def feat_mult(self) -> int:
        """By how much the vector is longer than the tokens are wide; timm's heads ask for it."""
        return self.pool.out_dim // self.width

    def is_identity(self) -> bool:
        """No; timm's heads ask for it."""
        return False


class PoolsInHead:
    """For models of timm that pool within `forward_head`: their last norm, dropout, classifier."""

    pooling: TokenPool

    def forward_head(self: Any, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Tokens [B, K + N, D] -> what the classifier says, or what it is given."""
        x = self.pooling(x)
        if hasattr(self, "fc_norm"):
            x = self.fc_norm(x)
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)


class PoolsGlobally:
    """For vision transformers of open_clip."""

    pooling: TokenPool

    def _global_pool(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, 1 + N, D] -> their vector, and the patches as they are."""
        return self.pooling(x), x[:, 1:]


def with_methods(model: nn.Module, methods: type) -> type:
    """A class like the model's with some methods replaced; copies of the model keep them."""
    return type(type(model).__name__, (methods, type(model)), {})
