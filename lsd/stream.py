"""From paths to what was found in them, many pictures in constant memory.

Decoding processes make what the network is shown; the network runs here beside them; further
processes draw. Each stage is a generator that asks the one before it, and only a little ahead.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd.boxes import boxes
from lsd.decode import decode
from lsd.detector import Detector
from lsd.lines import Lines, distinct
from lsd.output import Found
from lsd.pictures import SOFTWARE, Drawing, draw, is_foreign, write
from lsd.windows import Seen, see, together
from vretr.images import Unreadable
from vretr.images.stream import processors, read_ahead
from vretr.paths import display

Skip = Callable[[Unreadable], None]


@dataclass(frozen=True, kw_only=True)
class Finder:
    """How lines are found.

    Attributes:
        tiles: see `windows`.
        boxes: whether boxes are looked for, too.
        workers: processes that decode, and as many that draw; None: one a processor.
        skip: told of what could not be read, when it turns up.
    """

    detector: Detector
    tiles: int | None = None
    boxes: bool = False
    batch_size: int = 8
    workers: int | None = None
    skip: Skip = lambda _: None

    def find(self, paths: Iterable[Path]) -> Generator[Found]:
        """In the order of `paths`. It owns processes: exhaust it or close it."""
        with closing(self._seen(paths)) as stream:
            while chunk := list(islice(stream, self.batch_size)):
                maps = self._maps(np.concatenate([seen.pixels for seen in chunk]))
                for seen in chunk:
                    lines = self.lines(seen, maps)
                    quads = boxes(lines) if self.boxes else None
                    yield Found(seen.path, lines, quads, windows=len(seen.boxes))

    def lines(self, seen: Seen, maps: Iterator[NDArray[np.float32]]) -> Lines:
        """Lines of a picture, for which as many maps are taken as it has windows."""
        decoding = self.detector.decoding
        if len(seen.boxes) == 1:
            return decode(next(maps), decoding, seen.width, seen.height)
        every = replace(decoding, length=0.0, merge=0.0, clip=True)
        sizes = (seen.boxes[:, 2:] - seen.boxes[:, :2]).tolist()
        lines = together([decode(next(maps), every, *size) for size in sizes], seen)
        lines = lines.take(lines.lengths > decoding.length)
        return distinct(lines, decoding.merge) if decoding.merge else lines

    def _maps(self, pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        for first in range(0, len(pixels), self.batch_size):
            yield from self.detector.network(pixels[first : first + self.batch_size])

    def _seen(self, paths: Iterable[Path]) -> Generator[Seen]:
        size, resize = self.detector.size, self.detector.resize
        load = partial(see, size=size, resize=resize, tiles=self.tiles)
        ahead = 2 * self.batch_size
        with closing(read_ahead(paths, load, workers=self.workers, ahead=ahead)) as stream:
            for seen in stream:
                if isinstance(seen, Unreadable):
                    self.skip(seen)
                else:
                    yield seen


def drawn(
    stream: Generator[Found],
    files_of: Callable[[Found], list[Path]],
    *,
    overlay: bool,
    workers: int | None,
    skip: Skip,
) -> Generator[Found]:
    """The same, each once its pictures are written; where that fails, `skip` is told why.

    Args:
        files_of: one for the overlay, if it is wanted, and one for each box that is to be cut out.
    """
    waiting: deque[tuple[Found, list[Path]]] = deque()

    def drawings() -> Iterator[Drawing]:
        for found in stream:
            files = files_of(found)
            waiting.append((found, files))
            crops = found.boxes.corners[: len(files) - overlay] if found.boxes else _NONE
            yield Drawing(found.path, found.lines, found.boxes, overlay, crops)

    count = processors() if workers is None else workers
    ahead = max(1, count)
    with closing(stream), closing(read_ahead(drawings(), draw, workers=count, ahead=ahead)) as done:
        for contents in done:
            found, files = waiting.popleft()
            if isinstance(contents, Unreadable):
                skip(contents)
                yield found
            elif foreign := next(filter(is_foreign, files), None):
                reason = f"{display(foreign)} is there already and was not written by {SOFTWARE}"
                skip(Unreadable(found.path, reason))
                yield found
            else:
                for file, content in zip(files, contents, strict=True):
                    write(file, content)
                yield replace(found, files=(*found.files, *files))


_NONE = np.empty((0, 4, 2), np.float32)
