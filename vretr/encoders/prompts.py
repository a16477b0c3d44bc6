"""Sentences become token ids, with remembered places for pseudo words (CLIP's byte-pair tokens).

A pseudo word's place is remembered by position, never sought by its id: `$5` in a sentence is a
price, and `$,` would be one token that hides the place.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vretr.errors import UsageError

log = logging.getLogger(__name__)

PLACEHOLDER = "$"
PLACEHOLDER_ID = 259  # a free-standing `$`; only a filler, its embedding is replaced


@dataclass(frozen=True)
class Prompts:
    """B sentences as tokens, L as long as the longest of them or the whole context."""

    ids: Tensor  # [B, L] int64, zeros after the end token
    rows: Tensor  # [B * K]: which sentence each placeholder stands in ...
    columns: Tensor  # [B * K]: ... and where, sentence by sentence, from left to right


class Tokens:
    """CLIP's tokenizer (open_clip's SimpleTokenizer) with cutting that says so once."""

    def __init__(self, tokenizer: Any, *, whole: bool = False) -> None:
        """`whole`: always as long as the context, for towers that look beyond the end token."""
        self._encode: Callable[[str], list[int]] = tokenizer.encode
        self._start: int = tokenizer.sot_token_id
        self._end: int = tokenizer.eot_token_id
        self._length: int = tokenizer.context_length
        self._least = self._length if whole else 0
        self._warned = False

    def of_texts(self, texts: Sequence[str]) -> Prompts:
        """Sentences as they are; a `$` is a character like any other."""
        return self._batch([(self._encode(text), []) for text in texts])

    def of_prompts(self, prompts: Sequence[str], slots: int) -> Prompts:
        """Sentences with `slots` placeholders each.

        The pieces between placeholders are encoded separately: the same ids as the whole where a
        placeholder stands free, and the right ones where it touches a comma.

        Raises:
            UsageError: another number of placeholders.
        """
        return self._batch([self._with_places(prompt, slots) for prompt in prompts])

    def _with_places(self, prompt: str, slots: int) -> tuple[list[int], list[int]]:
        first, *others = prompt.split(PLACEHOLDER)
        if len(others) != slots:
            raise UsageError(
                f"The prompt {prompt!r} has {len(others)} places {PLACEHOLDER}, not {slots}."
            )
        ids, places = self._encode(first), []
        for piece in others:
            places.append(len(ids))
            ids += [PLACEHOLDER_ID, *self._encode(piece)]
        return ids, places

    def _batch(self, sentences: list[tuple[list[int], list[int]]]) -> Prompts:
        fitting = [self._cut(ids, places) for ids, places in sentences]
        longest = max((len(ids) + 2 for ids, _ in fitting), default=0)
        batch = torch.zeros(len(fitting), max(longest, self._least), dtype=torch.int64)
        for row, (ids, _) in zip(batch, fitting, strict=True):
            row[: len(ids) + 2] = torch.tensor([self._start, *ids, self._end])
        rows = [row for row, (_, places) in enumerate(fitting) for _ in places]
        columns = [place + 1 for _, places in fitting for place in places]  # 1: the start token
        return Prompts(batch, torch.tensor(rows, dtype=torch.int64), torch.tensor(columns).long())

    def _cut(self, ids: list[int], places: list[int]) -> tuple[list[int], list[int]]:
        """Leaves away the last words, never a placeholder, until start and end fit as well."""
        excess = len(ids) + 2 - self._length
        if excess <= 0:
            return ids, places
        if not self._warned:
            self._warned = True
            log.warning(
                "A text is longer than the %d tokens that the model reads; its end is left out.",
                self._length - 2,
            )
        words = [place for place in range(len(ids)) if place not in places]
        gone = set(words[-excess:])
        kept = [place for place in range(len(ids)) if place not in gone]
        return [ids[place] for place in kept], [kept.index(place) for place in places]
