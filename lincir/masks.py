"""Which parts of a sentence a pseudo word takes the place of.

A masked sentence is a sequence of pieces with a place between each two, as encoders take it
(`vretr.encoders.prompts`): ("", " and ", " in ", "") is "[$] and [$] in [$]".
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from zlib import crc32

from lincir.tagger import Word

Pieces = tuple[str, ...]
Span = tuple[int, int]

MASK = "[$]"  # of the authors' code; no cleaned sentence holds a $


def by_span(sentence: str, words: Sequence[Word]) -> Pieces:
    """Puts a place where each run of key words stands, the article before them included.

    A run needs a noun or adjective; a word with a hyphen is one word, however it was taken apart.
    A sentence without any run has its longest word masked.
    """
    spans = [_span(run) for run in runs(words) if any(word.part == "key" for word in run)]
    return _cut(sentence, spans or [_longest(sentence)])


def original(sentence: str, words: Sequence[Word]) -> Pieces:
    """What the authors' code does, for replication: wherever a run's letters occur, they are
    replaced, inside other words as well; a run that does not occur (any more) makes it replace a
    random word and stop. Runs of articles alone count.

    The random word depends on the sentence alone.
    """
    keywords = [" ".join(sentence[word.start : word.end] for word in run) for run in _strict(words)]
    return tuple(replaced(sentence, keywords, Random(crc32(sentence.encode()))).split(MASK))


def replaced(sentence: str, keywords: Sequence[str], random: Random) -> str:
    """The authors' loop: the sentence with `MASK` in the place of keywords."""
    masked = sentence
    for keyword in keywords or [""]:
        if keyword == "" or keyword not in sentence:
            return masked.replace(random.choice(sentence.split(" ")), MASK)
        masked = masked.replace(keyword, MASK)
    return masked


def runs(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Maximal runs of key words and articles; a hyphen that joins two of them is passed over."""
    run: list[Word] = []
    for word, behind in pairwise([*words, Word(-1, -1, "other")]):
        if word.part in ("key", "article"):
            run.append(word)
        elif not (run and word.part == "hyphen" and run[-1].end == word.start == behind.start - 1):
            if run:
                yield run
            run = []
    if run:
        yield run


def _strict(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Runs that a hyphen ends."""
    return runs([Word(w.start, w.end, "other") if w.part == "hyphen" else w for w in words])


def _span(run: Sequence[Word]) -> Span:
    return run[0].start, run[-1].end


def _longest(sentence: str) -> Span:
    word = max(sentence.split(), key=len)
    start = sentence.index(word)
    return start, start + len(word)


def _cut(sentence: str, spans: Sequence[Span]) -> Pieces:
    """The sentence without these spans, which do not overlap and stand from left to right."""
    edges = [0, *(edge for span in spans for edge in span), len(sentence)]
    return tuple(sentence[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))
