"""Puts another pooling into a ready model of timm or open_clip, and takes it out again.

Assigning a module to `model.pool`, or to `attn_pool` where the model has none, is silently ignored;
so every place is tried, and what is not called is refused.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from pooling.adapters import MapPool, PoolsGlobally, PoolsInHead, TokenPool
from pooling.gem import GGeM
from pooling.places import SelectAdaptivePool2d, head_pools, heads_of, projection_of, sample
from pooling.replacement import Replacement
from vretr.errors import UsageError
from vretr.poolings import PoolingSpec, make_pooling

log = logging.getLogger(__name__)

Norm = Literal["before", "after"]


def replace(
    model: nn.Module, pooling: str | PoolingSpec, *, norm: Norm | None = None
) -> Replacement:
    """Lets a model pool in another way. Load weights and freeze what you like before.

    Args:
        model: of timm, or a model or image tower of open_clip.
        pooling: "ggem", "gem:p=4", "cls,avg".
        norm: whether a transformer's last norm comes before the pooling (as the token models have
            it) or after (as the averaging ones); None: as the model has it.

    Raises:
        UsageError: the model has no place for it, or pools no patches.
    """
    if any(isinstance(part, TokenPool | MapPool) for part in model.modules()):
        raise UsageError("The model's pooling was replaced before: undo() that first.")
    model = getattr(model, "visual", model)
    done = Replacement()
    try:
        for place in _places(model):
            with _undone_on_error(done):
                adapter = place(done, model, pooling, norm)
                if _is_called(model, adapter):
                    return done
            done.undo()
    except (RuntimeError, ValueError) as error:  # shapes that do not fit what follows
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"{_kind(model)} cannot go on with the pooling {pooling}: {reason}; where "
            "vectors have another length, remove the classifier first."
        ) from error
    raise UsageError(f"{_kind(model)} has no place that is known for another pooling.")


Place = Callable[[Replacement, Any, str | PoolingSpec, Norm | None], TokenPool | MapPool]


def _places(model: Any) -> Iterator[Place]:
    """Where another pooling may stand, the likeliest first."""
    if hasattr(model, "trunk"):
        if hasattr(model.head, "pool"):
            raise UsageError("This tower pools by attention behind its trunk: no other can be put.")
        yield _in_trunk
    elif hasattr(model, "_global_pool"):
        yield _in_open_clip
    elif hasattr(model, "attnpool"):
        yield _for_attnpool
    elif hasattr(model, "forward_head"):
        if hasattr(model, "attn_pool"):
            yield _as_attn_pool
        if head_pools(model):
            yield _in_head
        if sum(isinstance(part, SelectAdaptivePool2d) for part in model.modules()) == 1:
            yield _on_maps


def _in_trunk(
    done: Replacement, tower: Any, pooling: str | PoolingSpec, norm: Norm | None
) -> TokenPool | MapPool:
    inner = replace(tower.trunk, pooling, norm=norm)
    done.undo_with(inner.undo)
    done.pool = inner.pool
    return next(part for part in tower.modules() if isinstance(part, TokenPool | MapPool))


def _as_attn_pool(
    done: Replacement, model: Any, pooling: str | PoolingSpec, norm: Norm | None
) -> TokenPool:
    """timm's attention pooling gets tokens: patches alone, unless the prefix is asked for."""
    done.pool = pool = make_pooling(pooling, model.num_features, heads=heads_of(model))
    _place_norm(done, model, norm)
    prefix = model.num_prefix_tokens
    if hasattr(model, "pool_include_prefix"):  # Eva has no such choice: it gives all
        include = bool(getattr(pool, "reads_prefix", False))
        done.set(model, "pool_include_prefix", include)
        prefix = prefix if include else 0
    if model.attn_pool is not None:
        log.warning("The attention that %s was trained to pool with is set aside.", _kind(model))
    return _put(done, model, "attn_pool", TokenPool(pool, prefix=prefix))


def _in_head(
    done: Replacement, model: Any, pooling: str | PoolingSpec, norm: Norm | None
) -> TokenPool:
    """Beit, Cait and their like mean or pick tokens in the midst of `forward_head`."""
    done.pool = pool = make_pooling(pooling, model.num_features, heads=heads_of(model))
    _place_norm(done, model, norm)
    adapter = _put(done, model, "pooling", TokenPool(pool, prefix=model.num_prefix_tokens))
    done.use_class(model, PoolsInHead)
    return adapter


def _on_maps(
    done: Replacement, model: Any, pooling: str | PoolingSpec, norm: Norm | None
) -> MapPool:
    """Networks of feature maps; heads mean nothing here, so GGeM has one group by default."""
    if norm is not None:
        raise UsageError(f"{_kind(model)} has no choice of where its norm stands.")
    ((name, old),) = [
        (name, part)
        for name, part in model.named_modules()
        if isinstance(part, SelectAdaptivePool2d)
    ]
    given = old(torch.zeros(1, 2, 3, 4))  # told apart by their lengths: 2 channels, or 4
    if given.numel() not in (2, 4):
        raise UsageError(f"{_kind(model)} does not pool to one vector of its width.")
    channels_last = given.numel() == 4
    seen: list[int] = []

    def look(_: nn.Module, inputs: Any) -> None:
        seen.append(inputs[0].shape[-1 if channels_last else 1])

    watch = old.register_forward_pre_hook(look)
    _run(model)
    watch.remove()
    done.pool = make_pooling(pooling, seen[0])
    owner, _, attribute = name.rpartition(".")
    adapter = MapPool(done.pool, width=seen[0], channels_last=channels_last, flat=given.ndim == 2)
    return _put(done, model.get_submodule(owner), attribute, adapter)


def _in_open_clip(
    done: Replacement, tower: Any, pooling: str | PoolingSpec, norm: Norm | None
) -> TokenPool:
    if tower.attn_pool is not None:
        raise UsageError("This tower pools its patches by attention: nothing is left to pool.")
    heads = tower.transformer.resblocks[0].attn.num_heads
    done.pool = pool = make_pooling(pooling, tower.ln_post.normalized_shape[0], heads=heads)
    if norm is not None:
        done.set(tower, "final_ln_after_pool", norm == "after")
    adapter = _put(done, tower, "pooling", TokenPool(pool, prefix=1))
    done.use_class(tower, PoolsGlobally)
    return adapter


def _for_attnpool(
    done: Replacement, tower: Any, pooling: str | PoolingSpec, norm: Norm | None
) -> MapPool:
    """CLIP's ResNets: their attention ends in a projection, which is kept."""
    if norm is not None:
        raise UsageError("CLIP's ResNets have no norm behind their last convolution.")
    linear = projection_of(tower.attnpool)
    done.pool = make_pooling(pooling, linear.in_features)
    return _put(
        done, tower, "attnpool", MapPool(done.pool, width=linear.in_features, linear=linear)
    )


def _place_norm(done: Replacement, model: Any, norm: Norm | None) -> None:
    """Moves the last norm before or behind the pooling."""
    if norm is None:
        return
    names = ("norm", "fc_norm") if norm == "before" else ("fc_norm", "norm")
    new, old = (getattr(model, name, None) for name in names)
    if new is not None and not isinstance(new, nn.Identity):
        return
    if new is None or old is None or isinstance(old, nn.Identity):
        raise UsageError(f"{_kind(model)} cannot have its norm {norm} the pooling.")
    done.set(model, names[0], old)
    done.set(model, names[1], new)


def _put(done: Replacement, owner: nn.Module, name: str, adapter: Any) -> Any:
    parameter = next(owner.parameters(), torch.empty(0))
    done.set(owner, name, adapter.to(parameter.device, parameter.dtype))
    return adapter


def _is_called(model: nn.Module, adapter: TokenPool | MapPool) -> bool:
    """Whether the model uses it; what it logs of values is left for real pictures."""
    poolings = [part for part in adapter.modules() if isinstance(part, GGeM)]
    for each in poolings:
        each.told = True
    _run(model)
    for each in poolings:
        each.told = False
    return adapter.calls > 0


def _run(model: nn.Module) -> None:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(sample(model))
    finally:
        model.train(training)


def _kind(model: nn.Module) -> str:
    return type(model).__name__


@contextmanager
def _undone_on_error(done: Replacement) -> Iterator[None]:
    try:
        yield
    except Exception:
        done.undo()
        raise
