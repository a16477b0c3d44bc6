"""How fast pictures become pixels: ways to decode a JPEG, and threads against processes.

    python benchmarks/decode.py --data FOLDER [--pictures 480] [--workers 2]

FOLDER holds camera.zip, large JPEGs; pictures of web size are made of them. Processor
time is the smallest of several runs on one thread, from a file or bytes to pixels at the size of a
tower's input; the rates are pictures a second of wall time, start of the processes included.
"""

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

from vretr import images
from vretr.data.sources import folder_of
from vretr.images import Preprocessing
from vretr.images.stream import load_pixels, read_ahead

SIZE = 224
HALF = (0.5, 0.5, 0.5)
OURS = Preprocessing(SIZE, HALF, HALF)
FULL = Preprocessing(SIZE, HALF, HALF, gap=0)
RUNS = 5

Way = Callable[[bytes], object]


def pillow(content: bytes, *, draft: int | None = None, gap: float | None = None) -> object:
    image = Image.open(io.BytesIO(content))
    if draft:
        image.draft("RGB", (draft, draft))
    image = image.convert("RGB")
    scale = 256 / min(image.size)
    size = int(image.width * scale), int(image.height * scale)
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=gap)


def thumbnail(content: bytes) -> object:
    image = Image.open(io.BytesIO(content))
    image.thumbnail((341, 341))
    return image.convert("RGB")


def torchvision(content: bytes) -> object:
    import torch
    from torchvision.io import decode_jpeg
    from torchvision.transforms.v2.functional import resize

    torch.set_num_threads(1)
    picture = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    return resize(picture, [256], interpolation=3, antialias=True)  # 3: bicubic


def opencv(content: bytes, *, reduced: int = 1) -> object:
    import cv2

    cv2.setNumThreads(1)
    flag = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), flag[reduced])
    return cv2.cvtColor(cv2.resize(picture, (341, 256)), cv2.COLOR_BGR2RGB)


def vretr(path: Path, preprocessing: Preprocessing) -> object:
    image = images.open(path, target=preprocessing.target)
    assert isinstance(image, Image.Image), image
    return preprocessing.pixels(image)


WAYS: dict[str, Way] = {
    "Pillow, full, bicubic to 256": pillow,
    "Pillow, full, bicubic with reducing_gap=2": partial(pillow, gap=2.0),
    "Pillow, draft 512, bicubic to 256": partial(pillow, draft=512),
    "Pillow, draft 256, bicubic to 256": partial(pillow, draft=256),
    "Pillow, thumbnail": thumbnail,
    "torchvision decode_jpeg, bicubic to 256": torchvision,
}
if find_spec("cv2"):
    WAYS["OpenCV, full"] = opencv
    WAYS["OpenCV, reduced by 4"] = partial(opencv, reduced=4)


def processor_ms(work: Callable[[], object]) -> float:
    """Smallest of several runs."""

    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return 1000 * min(once() for _ in range(RUNS))


def used() -> float:
    """Seconds of processor time so far, with the children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def in_threads(paths: Sequence[Path], workers: int) -> Iterator[object]:
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(partial(load_pixels, preprocessing=OURS), paths)


def in_processes(paths: Sequence[Path], workers: int) -> Iterator[object]:
    return read_ahead(paths, partial(load_pixels, preprocessing=OURS), workers=workers)


def rate(results: Iterator[object], *, model: bool) -> tuple[float, float]:
    """-> pictures a second, processor milliseconds a picture. `model`: beside a consumer."""
    matrix = np.ones((1536, 1536), dtype=np.float32)
    start, before = time.perf_counter(), used()
    count = 0
    for count, _ in enumerate(results, 1):
        if model and count % 32 == 0:
            for _ in range(32):  # much like a small tower on a batch of 32
                matrix @ matrix
    return count / (time.perf_counter() - start), 1000 * (used() - before) / count


def made_small(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Copies of 1024 pixels on the longer side, as photos on web pages are."""
    for path in paths:
        image = images.open(path)
        assert isinstance(image, Image.Image), image
        image.thumbnail((1024, 1024))
        image.save(folder / path.name, quality=85, exif=b"")
    return [folder / path.name for path in paths]


def report(title: str, paths: Sequence[Path], options: argparse.Namespace) -> None:
    sizes = [Image.open(path).size for path in paths]
    pixels = mean(width * height for width, height in sizes) / 1e6
    print(f"\n{title}: {len(paths)} JPEGs of {pixels:.1f} megapixels on average\n")
    print(f"{'one thread':44s} processor ms")
    contents = [path.read_bytes() for path in paths]
    for name, way in WAYS.items():
        way(contents[0])  # imports and the like
        print(f"{name:44s} {mean(processor_ms(partial(way, c)) for c in contents):8.1f}")
    for name, preprocessing in (("vretr, gap 0", FULL), ("vretr, gap 2 (default)", OURS)):
        work = [partial(vretr, path, preprocessing) for path in paths]
        print(f"{name:44s} {mean(map(processor_ms, work)):8.1f}")
    many = list(islice(cycle(paths), options.pictures))
    print(f"\n{f'{options.workers} workers, {len(many)} pictures':44s} pictures/s  processor ms")
    for model in (False, True):
        for name, run in (("threads", in_threads), ("processes", in_processes)):
            speed, cost = rate(run(many, options.workers), model=model)
            label = f"{name} beside a matrix product" if model else name
            print(f"{label:44s} {speed:10.1f}  {cost:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with camera.zip")
    parser.add_argument("--pictures", type=int, default=480, help="for the rates")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    large = [
        path
        for path in images.find([folder_of(options.data / "camera.zip")])
        if path.suffix.lower() == ".jpg"
    ]
    report("large", large, options)
    with tempfile.TemporaryDirectory() as folder:
        report("web size", made_small(large, Path(folder)), options)
    print(
        "\nvretr decodes by Pillow's draft to twice the input, in processes: past their start they"
        "\ncost about as much as threads, leave the interpreter to the model, and a decoder"
        "\nthat crashes or hangs takes one file with it and not the run."
    )


if __name__ == "__main__":
    main()
