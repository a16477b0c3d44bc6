"""The text side of an open_clip model: a tokenizer and a tower, from sentences to vectors."""

from importlib.util import find_spec
from typing import Any, Protocol

import torch
from open_clip import tokenizer as tokenizers
from open_clip.transformer import ResidualAttentionBlock, text_global_pool
from torch import Tensor, nn

from vretr.encoders.attention import batch_first
from vretr.encoders.blueprint import Blueprint
from vretr.encoders.prompts import FILLER, Prompts, PromptTokens
from vretr.errors import VretrError
from vretr.paths import hub_cache


class Texts(Protocol):
    """Sentences -> [B, dim] as the tower gives them, on the tower's device."""

    def read(self, texts: list[str]) -> Tensor: ...


class ClipTexts:
    """CLIP's own kind of text tower, whose sentences may hold pseudo words.

    Where the tower is causal and pools at the end token, what follows that token cannot matter:
    batches are as long as their longest sentence, 20 tokens instead of 77 for most, and the last
    block computes that token alone.
    """

    def __init__(self, tower: Any, tokenizer: Any) -> None:
        self._tower: Any = batch_first(tower)
        plain = isinstance(tower.transformer.resblocks[-1], ResidualAttentionBlock)
        self._whole = tower.attn_mask is None or tower.pool_type != "argmax" or not plain
        self.prompts = PromptTokens(
            encode=lambda pieces: [tokenizer.encode(piece) for piece in pieces],
            start=tokenizer.sot_token_id,
            end=tokenizer.eot_token_id,
            filler=FILLER,
            length=tokenizer.context_length,
        )

    def read(self, texts: list[str]) -> Tensor:
        """Sentences -> [B, dim]."""
        return self.embed(self.prompts([(text,) for text in texts]))

    def states(self, texts: list[str]) -> Tensor:
        """Sentences -> [B, context, width]: every place's state after the last norm."""
        prompts = self.prompts([(text,) for text in texts]).padded(self.prompts.length)
        tower = self._tower
        ids = torch.from_numpy(prompts.ids).to(tower.token_embedding.weight.device)
        x = tower.token_embedding(ids) + tower.positional_embedding[: ids.shape[1]]
        return tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask))

    def embed(self, prompts: Prompts, words: Tensor | None = None) -> Tensor:
        """Sentences with P places, and [P, token_width] to stand there -> [B, dim]."""
        prompts = prompts.padded(self.prompts.length) if self._whole else prompts.trimmed()
        table = self._tower.token_embedding
        device = table.weight.device
        ids = torch.from_numpy(prompts.ids).to(device)
        x = table(ids)
        if words is not None:
            places = [torch.from_numpy(part).to(device) for part in (prompts.rows, prompts.columns)]
            x = x.index_put(tuple(places), words.to(x))
        return self._through(ids, x)

    def _through(self, ids: Tensor, x: Tensor) -> Tensor:
        tower, length = self._tower, x.shape[1]
        mask = None if tower.attn_mask is None else tower.attn_mask[:length, :length]
        x = x + tower.positional_embedding[:length]
        if self._whole:
            x = tower.ln_final(tower.transformer(x, attn_mask=mask))
            pooled = text_global_pool(x, ids, tower.pool_type, eos_token_id=tower.eos_id)
        else:
            *blocks, last = tower.transformer.resblocks
            for block in blocks:
                x = block(x, attn_mask=mask)
            pooled = tower.ln_final(_at(ids.argmax(1), last, x, mask))
        projection = tower.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection


def _at(ends: Tensor, block: Any, x: Tensor, mask: Any) -> Tensor:
    """What a block makes of one token a sentence: x [B, L, W] and places [B] -> [B, W]."""
    rows = torch.arange(len(x), device=x.device)
    normed = block.ln_1(x)
    mixed = block.attention(
        normed[rows, ends][:, None], normed, normed, attn_mask=mask[ends][:, None, None]
    )
    x = x[rows, ends] + block.ls_1(mixed[:, 0])
    return x + block.ls_2(block.mlp(block.ln_2(x)))


class OtherTexts:
    """Any other text tower, with its own tokenizer; no pseudo words."""

    def __init__(self, tower: nn.Module, tokenizer: Any) -> None:
        self._tower = tower
        self._tokenizer = tokenizer

    def read(self, texts: list[str]) -> Tensor:
        """Sentences -> [B, dim]."""
        ids = self._tokenizer(texts).to(next(self._tower.parameters()).device)
        output = self._tower(ids)
        return output[0] if isinstance(output, tuple) else output


def texts_of(tower: nn.Module, design: Blueprint) -> Texts:
    """The tower with the tokenizer that its weights were trained with."""
    tokenizer = tokenizer_of(design)
    if design.token_width is not None:
        return ClipTexts(tower, tokenizer)
    return OtherTexts(tower, tokenizer)


def check_words(design: Blueprint) -> None:
    """Raises VretrError where words need a package that is not installed."""
    config = design.model["text_cfg"]
    foreign = config.get("hf_model_name") or config.get("hf_tokenizer_name")
    if foreign and find_spec("transformers") is None:
        raise VretrError(
            f"The words of this model are read by {foreign}, which needs the package transformers: "
            "pip install transformers. (Its pictures do not need it.)"
        )


def tokenizer_of(design: Blueprint) -> Any:
    """open_clip's tokenizer for a model.

    Raises:
        VretrError: its files are not here.
    """
    config = design.model["text_cfg"]
    length = config.get("context_length", tokenizers.DEFAULT_CONTEXT_LENGTH)
    settings = config.get("tokenizer_kwargs") or {}
    name = config.get("hf_tokenizer_name")
    if not name:
        return tokenizers.SimpleTokenizer(context_length=length, **settings)
    try:
        return tokenizers.HFTokenizer(
            str(design.folder or name),
            context_length=length,
            tokenizer_mode=config.get("tokenizer_mode"),
            cache_dir=str(hub_cache()),
            **settings,
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise VretrError(f"The tokenizer {name} cannot be loaded: {reason}") from error
