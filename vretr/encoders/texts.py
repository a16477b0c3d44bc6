"""The text side of an open_clip model: a tokenizer and a tower, from sentences to vectors."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from open_clip import tokenizer as tokenizers
from open_clip.transformer import TextTransformer, text_global_pool
from torch import Tensor, nn

from vretr.encoders.attention import batch_first
from vretr.encoders.blueprint import Blueprint
from vretr.encoders.prompts import Prompts, Tokens
from vretr.errors import UsageError, VretrError
from vretr.paths import hub_cache


class Texts(Protocol):
    """Sentences -> [B, dim] as the tower gives them, on the tower's device."""

    def read(self, texts: list[str]) -> Tensor: ...


class ClipTexts:
    """CLIP's own kind of text tower, whose sentences may hold pseudo words.

    Where the tower is causal and pools at the end token, what follows that token cannot matter:
    batches are as long as their longest sentence, 20 tokens instead of 77 for most.
    """

    def __init__(self, tower: Any, tokenizer: Any) -> None:
        self._tower: Any = batch_first(tower)
        whole = tower.attn_mask is None or tower.pool_type != "argmax"
        self._tokens = Tokens(tokenizer, whole=whole)

    @property
    def token_width(self) -> int:
        """Length of one token embedding."""
        return self._tower.token_embedding.embedding_dim

    def read(self, texts: list[str]) -> Tensor:
        """Sentences -> [B, dim]."""
        read = self._tokens.of_texts(texts)
        return self._through(read, self._embeddings(read))

    def read_with(self, prompts: Sequence[str], slots: Tensor) -> Tensor:
        """Sentences with K places `$` each, and [B, K, token_width] to stand there -> [B, dim].

        As LinCIR does it: the slot replaces the word's raw embedding, before its position is added.
        """
        read = self._tokens.of_prompts(prompts, slots.shape[1])
        words = self._embeddings(read)
        slots = slots.flatten(0, 1).to(words)
        places = read.rows.to(words.device), read.columns.to(words.device)
        return self._through(read, words.index_put(places, slots))

    def _embeddings(self, read: Prompts) -> Tensor:
        table = self._tower.token_embedding
        return table(read.ids.to(table.weight.device))

    def _through(self, read: Prompts, words: Tensor) -> Tensor:
        tower, length = self._tower, words.shape[1]
        mask = None if tower.attn_mask is None else tower.attn_mask[:length, :length]
        x = tower.transformer(words + tower.positional_embedding[:length], attn_mask=mask)
        ids = read.ids.to(x.device)
        pooled = text_global_pool(
            tower.ln_final(x), ids, tower.pool_type, eos_token_id=tower.eos_id
        )
        projection = tower.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection


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
    plain = isinstance(tower, TextTransformer) and tower.cls_emb is None
    if plain and isinstance(tokenizer, tokenizers.SimpleTokenizer):
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


def require_pseudo_words(texts: Texts, name: str) -> ClipTexts:
    """The text side as one that takes pseudo words.

    Raises:
        UsageError: it is of another kind.
    """
    if not isinstance(texts, ClipTexts):
        raise UsageError(f"The text tower of {name} is not CLIP's: it takes no pseudo words.")
    return texts
