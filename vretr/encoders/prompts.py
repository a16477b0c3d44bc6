"""Sentences with places for pseudo words become token ids. No torch.

A sentence comes as pieces; a pseudo word stands between each two:

    ("a photo of ", " that costs $5")     one pseudo word
    ("", " and ", " on grass")            two, the first one at the start
    ("a dog on grass",)                   none

So no sign of the text means a place (with LinCIR's `$`, `$5` was a picture and `$,` hid it), and
places are remembered by position, never sought by an id.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vretr.errors import UsageError

log = logging.getLogger(__name__)

Pieces = Sequence[str]
Ids = NDArray[np.int64]

PADDING = 0
NO_PLACES = np.zeros(0, np.int64)
EMPTY = 2  # tokens of an empty sentence: start and end
FILLER = 259  # what stands in the places of CLIP's sentences: LinCIR's free-standing `$`


@dataclass(frozen=True)
class Prompts:
    """B sentences as tokens, with P places for pseudo words in all.

    Places go sentence by sentence, from left to right. Each holds some id, which counts for
    nothing: the embedding there is replaced.
    """

    ids: Ids  # [B, L]: start, words, end, then zeros
    rows: Ids = field(default_factory=lambda: NO_PLACES)  # [P]: each place's sentence ...
    columns: Ids = field(default_factory=lambda: NO_PLACES)  # [P]: ... and where it is in it

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Ids:
        """Tokens of each sentence, start and end included: [B]."""
        return self.ids.shape[1] - (self.ids[:, ::-1] != PADDING).argmax(1)

    def trimmed(self) -> "Prompts":
        """As long as the longest sentence."""
        longest = self.lengths.max(initial=EMPTY)
        return Prompts(self.ids[:, :longest], self.rows, self.columns)

    def padded(self, length: int) -> "Prompts":
        """As long as the model's context, for towers that look beyond the end."""
        ids = np.full((len(self), length), PADDING)
        longest = self.trimmed().ids
        ids[:, : longest.shape[1]] = longest
        return Prompts(ids, self.rows, self.columns)

    def batches(self, tokens: int) -> Iterator[tuple[Ids, Ids, "Prompts"]]:
        """Sentences of about one length, at most `tokens` tokens with their padding at a time, or
        one sentence that is longer.

        Yields:
            The numbers of the sentences, those of their places, and the sentences, trimmed.
        """
        by_length = np.argsort(self.lengths, kind="stable")
        lengths, stop = self.lengths[by_length], 0
        while (start := stop) < len(self):
            cells = lengths[start:] * np.arange(1, len(self) - start + 1)
            stop += max(1, int(np.searchsorted(cells, tokens, side="right")))
            sentences = np.sort(by_length[start:stop])
            number = np.full(len(self), -1)
            number[sentences] = np.arange(len(sentences))
            places = np.flatnonzero(number[self.rows] >= 0)
            part = Prompts(self.ids[sentences], number[self.rows[places]], self.columns[places])
            yield sentences, places, part.trimmed()

    def check(self, shape: Sequence[int], width: int) -> None:
        """Raises ValueError unless `shape` is that of one embedding for each place."""
        if tuple(shape) != (wanted := (len(self.rows), width)):
            raise ValueError(f"words are [places, width] = {list(wanted)}, not {list(shape)}")


@dataclass
class PromptTokens:
    """Sentences in pieces -> Prompts, for one tokenizer.

    The pieces are encoded separately: the same ids as the whole where a place stands free, and the
    right ones where it touches a comma.

    Args:
        encode: pieces of text -> their ids, without start and end.
        length: most tokens that the model reads, start and end included.
        filler: the id that stands in places.
    """

    encode: Callable[[list[str]], list[list[int]]]
    start: int
    end: int
    filler: int
    length: int
    _warned: bool = field(default=False, init=False)

    def __call__(self, sentences: Sequence[Pieces]) -> Prompts:
        """Raises:
        ValueError: a sentence without pieces, or one that is a string.
        UsageError: more pseudo words in a sentence than the model reads tokens.
        """
        if any(isinstance(pieces, str) or not pieces for pieces in sentences):
            raise ValueError("a sentence is a sequence of pieces: ('a photo of ', ' on grass')")
        encoded = iter(self.encode([piece for pieces in sentences for piece in pieces]))
        fitting = [self._fitted([next(encoded) for _ in pieces]) for pieces in sentences]
        rows = [row for row, (_, places) in enumerate(fitting) for _ in places]
        columns = [place for _, places in fitting for place in places]
        ids = padded_ids([ids for ids, _ in fitting])
        return Prompts(ids, np.array(rows, np.int64), np.array(columns, np.int64))

    def _fitted(self, pieces: list[list[int]]) -> tuple[list[int], list[int]]:
        """The ids of a sentence and its places; of too many words the last ones are left out."""
        room = self.length - EMPTY - (len(pieces) - 1)
        if room < 0:
            raise UsageError(
                f"A sentence holds {len(pieces) - 1} pseudo words, more than the "
                f"{self.length - EMPTY} tokens that the model reads: give fewer."
            )
        if sum(map(len, pieces)) > room:
            self._warn()
        ids: list[int] = [self.start]
        places: list[int] = []
        for number, piece in enumerate(pieces):
            if number:
                places.append(len(ids))
                ids.append(self.filler)
            ids += piece[:room]
            room -= len(piece[:room])
        return [*ids, self.end], places

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "A text is longer than the %d tokens that the model reads; its end is left out.",
                self.length - EMPTY,
            )


def padded_ids(sentences: Sequence[Sequence[int]]) -> Ids:
    """Token ids of each sentence -> [B, L], as long as the longest."""
    ids = np.full((len(sentences), max(map(len, sentences), default=EMPTY)), PADDING)
    for row, sentence in zip(ids, sentences, strict=True):
        row[: len(sentence)] = sentence
    return ids
