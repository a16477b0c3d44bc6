"""The token cache: a corpus tagged, masked and tokenised once, mapped into memory for training.

A folder `lincir/DIGEST` in vretr's cache holds the arrays of `preparing.Tokens` and `about.json`.
The digest is of the corpus, the tokenizer, the tagger and the masking: other weights with the same
tokenizer share it. It is made in blocks, and finished ones survive an interruption. It may be
deleted at any time.
"""

import fcntl
import hashlib
import json
import logging
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, astuple
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lincir.corpus import Corpus
from lincir.preparing import Counts, Preparer, Ragged, Recipe, Tokens, prepare, start_worker
from lincir.tagger import load_tagger
from vretr.encoders import PseudoTextEncoder
from vretr.errors import MismatchError
from vretr.images.stream import processors
from vretr.paths import atomic_write, home
from vretr.progress import progress

log = logging.getLogger(__name__)

FORMAT = 1  # counted up when what is kept changes
BLOCK = 8192  # sentences that are prepared at a time, and at most lost, by each process
ABOUT = "about.json"
RAGGED = ("sentences", "masked", "places")
FOREIGN = 0.1  # share of sentences in other letters that is worth a word
_PROBE = ("A photo of x-rayed naïve cats, 12 of $5!", "the " * 300)  # tells tokenizers apart

Block = tuple[Tokens, Counts]


def load_tokens(
    corpus: Corpus, encoder: PseudoTextEncoder, recipe: Recipe, *, processes: int | None = None
) -> tuple[Tokens, Path]:
    """The tokens of a corpus and the folder they lie in, made now where they were not before.

    Args:
        processes: that make them; None: one for each processor that this process may use.

    Raises:
        MismatchError: no sentence is left.
        VretrError: the corpus cannot be read.
    """
    preparer = Preparer(encoder, load_tagger(recipe.tagger), recipe)
    folder = home() / "lincir" / _digest(corpus, preparer)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _make(folder, corpus, preparer, processes or processors())
    _tell(Counts(**json.loads((folder / ABOUT).read_bytes())), encoder)
    return _mapped(folder), folder


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Of several processes that want the same thing made, one makes it and the others wait.

    They may be those of one training on several GPUs.
    """
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(corpus: Corpus, preparer: Preparer) -> str:
    recipe, encoder = preparer.recipe, preparer.encoder
    with _silence():
        ids = encoder.prompts([(text,) for text in _PROBE]).ids
    facts = [FORMAT, corpus.state, ids.tolist(), encoder.context, preparer.tagger.name]
    facts += [recipe.masking, recipe.tokens]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()


@contextmanager
def _silence() -> Iterator[None]:
    """The probe is too long on purpose, which the tokenizer would tell."""
    logger = logging.getLogger("vretr.encoders")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _make(folder: Path, corpus: Corpus, preparer: Preparer, processes: int) -> None:
    parts = folder.with_suffix(".parts")
    parts.mkdir(exist_ok=True)
    blocks = enumerate(corpus.blocks(BLOCK))
    missing = ((number, block) for number, block in blocks if not _part(parts, number).exists())
    with progress(None, "Tagging and tokenising") as bar:
        for number, block in _prepared(missing, preparer, processes):
            _save(_part(parts, number), block)
            bar.advance(block[1].sentences)
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    counts = _join(sorted(parts.glob("*.npz")), making)
    if not counts.sentences:
        raise MismatchError(f"{corpus} holds no sentence: there is nothing to learn from.")
    with atomic_write(making / ABOUT) as about:
        about.write(json.dumps(asdict(counts)).encode())
    making.rename(folder)
    shutil.rmtree(parts)


def _prepared(
    blocks: Iterable[tuple[int, list[str]]], preparer: Preparer, processes: int
) -> Iterator[tuple[int, Block]]:
    """Each block prepared, in order, by several processes where there are several blocks."""
    blocks = iter(blocks)
    first = list(islice(blocks, 2))
    blocks = chain(first, blocks)
    if len(first) < 2 or processes == 1:
        yield from ((number, preparer(block)) for number, block in blocks)
        return
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=start_worker, initargs=(preparer.recipe,)
    )
    pending: deque[tuple[int, Future[Block]]] = deque()
    try:
        for number, block in blocks:
            pending.append((number, pool.submit(prepare, preparer.recipe, block)))
            if len(pending) > 2 * processes:
                number, done = pending.popleft()
                yield number, done.result()
        for number, done in pending:
            yield number, done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _part(parts: Path, number: int) -> Path:
    return parts / f"{number:06}.npz"


def _save(file: Path, block: Block) -> None:
    tokens, counts = block
    arrays = {"counts": np.array(astuple(counts))}
    for name in RAGGED:
        ragged: Ragged = getattr(tokens, name)
        arrays |= {f"{name}.values": ragged.values, f"{name}.ends": ragged.ends}
    with atomic_write(file) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _join(parts: list[Path], folder: Path) -> Counts:
    """Writes the arrays of all parts as one each, and sums up their counts."""
    total = Counts()
    sizes = dict.fromkeys((f"{name}.{kind}" for name in RAGGED for kind in ("values", "ends")), 0)
    for part in parts:
        with np.load(part) as arrays:
            total += Counts(*arrays["counts"].tolist())
            for name in sizes:
                sizes[name] += len(arrays[name])
    if not total.sentences:
        return total
    whole = {
        name: open_memmap(
            folder / f"{name}.npy",
            mode="w+",
            dtype=np.int64 if name.endswith("ends") else np.int32,
            shape=(size,),
        )
        for name, size in sizes.items()
    }
    filled = dict.fromkeys(sizes, 0)
    for part in parts:
        with np.load(part) as arrays:
            for name in RAGGED:
                values, ends = f"{name}.values", f"{name}.ends"
                _append(whole[ends], filled, ends, arrays[ends] + filled[values])
                _append(whole[values], filled, values, arrays[values])
    for array in whole.values():
        array.flush()
    return total


def _append(
    whole: NDArray[np.int_], filled: dict[str, int], name: str, part: NDArray[np.int_]
) -> None:
    start = filled[name]
    whole[start : start + len(part)] = part
    filled[name] += len(part)


def _mapped(folder: Path) -> Tokens:
    def ragged(name: str) -> Ragged:
        parts = (
            np.load(folder / f"{name}.{kind}.npy", mmap_mode="r") for kind in ("values", "ends")
        )
        return Ragged(*parts)

    return Tokens(*map(ragged, RAGGED))


def _tell(counts: Counts, encoder: PseudoTextEncoder) -> None:
    """What a reader of the log should know of the corpus."""
    every = counts.sentences + counts.empty
    if counts.empty:
        log.warning("%d of %d lines of the corpus are empty and left out.", counts.empty, every)
    if counts.cut:
        log.warning(
            "%d sentences are longer than the %d tokens that %s reads; their last words are left "
            "out.",
            *(counts.cut, encoder.context, encoder.name),
        )
    if counts.foreign > FOREIGN * counts.sentences:
        log.warning(
            "%d of %d sentences are not in Latin letters; key words are told apart in English "
            "only, so such a sentence is masked as a whole.",
            *(counts.foreign, counts.sentences),
        )
