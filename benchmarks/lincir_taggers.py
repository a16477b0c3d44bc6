"""How far LinCIR's two taggers agree: the list of ours and spaCy's en_core_web_sm.

    python benchmarks/lincir_taggers.py --data FOLDER

On 2,000 captions of captions.txt.gz (drawn with seed 1; the list was made from others): words that
both mask or both leave, masked spans that are equal (F1), captions whose spans are all equal.
Needs spaCy and its model, which vretr does not.
"""

import argparse
import gzip
from pathlib import Path
from random import Random

from lincir.corpus import cleaned
from lincir.masks import runs
from lincir.tagger import Rules, Spacy, Tagger, Word, _has_spacy

CAPTIONS, SEED = 2000, 1

Spans = set[tuple[int, int]]


def spans(words: list[Word]) -> Spans:
    """What `masks.by_span` would mask."""
    kept = (run for run in runs(words) if any(word.part == "key" for word in run))
    return {(run[0].start, run[-1].end) for run in kept}


def report(captions: list[str], wanted: Tagger, found: Tagger) -> None:
    """Prints how far `found` agrees with `wanted`."""
    alike = words = equal = theirs = ours = both = 0
    for caption, right, here in zip(captions, wanted(captions), found(captions), strict=True):
        expected, told = spans(right), spans(here)
        for word in right:
            if caption[word.start].isalnum():
                words += 1
                alike += _inside(word, expected) == _inside(word, told)
        theirs, ours, both = theirs + len(expected), ours + len(told), both + len(expected & told)
        equal += expected == told
    print(f"{len(captions)} captions, {found.name} against {wanted.name}")
    print(f"words alike       {100 * alike / words:.1f} % of {words:,}")
    print(f"spans equal (F1)  {200 * both / (theirs + ours):.1f} %")
    print(f"captions equal    {100 * equal / len(captions):.1f} %")


def _inside(word: Word, spans: Spans) -> bool:
    return any(start <= word.start < end for start, end in spans)


def main() -> None:
    """Prints the three figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with captions.txt.gz")
    options = parser.parse_args()
    if not _has_spacy():
        print("spaCy and en_core_web_sm are not installed: nothing to compare with.")
        return
    with gzip.open(options.data / "captions.txt.gz", "rt", encoding="utf-8") as file:
        captions = [line.strip() for line in file]
    Random(SEED).shuffle(captions)
    report([cleaned(caption) for caption in captions[:CAPTIONS]], Spacy(), Rules())


if __name__ == "__main__":
    main()
