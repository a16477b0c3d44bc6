"""Photos a second of `vretr index`, beside what decoding and the model alone allow.

    python benchmarks/indexing.py --data FOLDER [--encoders lite ViT-B-32-quickgelu/random]
                                  [--large 96] [--small 512] [--rounds 3] [--out FILE.json]

FOLDER holds camera.zip (12 photos of 6 to 16 megapixels) and flickr8k.zip (224 x 224). Each photo
is written several times with another few bytes behind its end, since vretr encodes equal files
once. All but the forward rate are of the photos beyond the first eighth: the time for all less the
time for an eighth, so that start-up (processes, imports, weights) does not count.

Measured in turn, round by round; printed are medians, and medians of the rounds' ratios:

- vretr index   a fresh process and a fresh index; its rate with start-up is printed too
- decode        the same decoding with nothing beside it, on all cores
- forward       the same encoder on decoded pixels, on all cores
- bound         decode and forward in turn, each with all cores: 1 / (1/decode + 1/forward)
- plain         open_clip's model in fp32 and its own preprocessing: full decode by Pillow in a
                DataLoader with a worker a core (open_clip's encoders only)
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from vretr.encoders.catalogue import architectures

if TYPE_CHECKING:
    from vretr.images import Batch

CORES = len(os.sched_getaffinity(0))
FORWARD_SECONDS = 3
SETS = {"12 MP": "camera.zip", "web size": "flickr8k.zip"}
Seconds = Callable[[Path, str, argparse.Namespace], float]  # for the photos of a folder


def write_photos(source: Path, folder: Path, number: int) -> None:
    """`number` JPEGs of the zip, repeated as needed, no two equal."""
    folder.mkdir()
    with ZipFile(source) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        for name, serial in zip(islice(cycle(names), number), count(), strict=False):
            content = archive.read(name) + serial.to_bytes(4, "big")
            (folder / f"{serial:05}.jpg").write_bytes(content)


def index_seconds(folder: Path, encoder: str, options: argparse.Namespace) -> float:
    """A fresh `vretr index`, by its own clock."""
    with tempfile.TemporaryDirectory() as index:
        command = ["index", str(folder), "--index", index, "--encoder", encoder, "--json"]
        command += ["--batch-size", str(options.batch_size)]
        run = [sys.executable, "-m", "cli", *command]
        done = subprocess.run(run, check=True, capture_output=True)
    return float(json.loads(done.stdout)["seconds"])


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@cache
def loaded(encoder: str) -> Any:
    from vretr import load_encoder

    return load_encoder(encoder)


def decode_seconds(folder: Path, encoder: str, options: argparse.Namespace) -> float:
    """Hash, decode and preprocess, as the index does."""
    return timed(lambda: [len(batch.files) for batch in decoded(folder, encoder, options)])


def decoded(folder: Path, encoder: str, options: argparse.Namespace) -> Iterator["Batch"]:
    from vretr.images import batches

    paths = sorted(folder.iterdir())
    return batches(paths, loaded(encoder).preprocessing, batch_size=options.batch_size)


def forward(folder: Path, encoder: str, options: argparse.Namespace) -> float:
    """The encoder's rate on pixels that are there."""
    pixels = [batch.pixels for batch in islice(decoded(folder, encoder, options), 4)]
    model = loaded(encoder)
    model.encode_images(pixels[0])  # weights are read on first use
    photos, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < FORWARD_SECONDS:
        for batch in pixels:
            photos += len(model.encode_images(batch))
    return photos / seconds


@cache
def open_clip_model(architecture: str) -> tuple[Any, Any]:
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(architecture)
    return model.eval(), preprocess


def plain_seconds(folder: Path, encoder: str, options: argparse.Namespace) -> float:
    """What one writes first."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    model, preprocess = open_clip_model(encoder.split("/")[0])
    paths = sorted(folder.iterdir())

    class Photos(Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, row: int) -> Any:
            return preprocess(Image.open(paths[row]))

    def loop() -> None:
        loader = DataLoader(Photos(), batch_size=options.batch_size, num_workers=CORES)
        with torch.inference_mode():
            for batch in loader:
                model.encode_image(batch, normalize=True)

    return timed(loop)


def measure(folder: Path, part: Path, encoder: str, options: argparse.Namespace) -> dict[str, Any]:
    """Every measure in turn, `rounds` times."""
    many, few = (len(list(place.iterdir())) for place in (folder, part))
    with_start: list[float] = []

    def beyond(seconds: Seconds) -> float:
        first, all_of_them = (seconds(place, encoder, options) for place in (part, folder))
        if seconds is index_seconds:
            with_start.append(many / all_of_them)
        if all_of_them < 2 * first:
            raise SystemExit("Start-up is most of it; take more photos, or a quieter machine.")
        return (many - few) / (all_of_them - first)

    measures: dict[str, Callable[[], float]] = {
        "vretr index": partial(beyond, index_seconds),
        "decode": partial(beyond, decode_seconds),
        "forward": partial(forward, folder, encoder, options),
    }
    loaded(encoder)  # and not in the first measurement
    if (architecture := encoder.partition("/")[0]) in architectures():
        open_clip_model(architecture)
        measures["plain"] = partial(beyond, plain_seconds)
    rounds: list[dict[str, float]] = []
    for _ in range(options.rounds):
        found = {name: run() for name, run in measures.items()}
        found["bound"] = 1 / (1 / found["decode"] + 1 / found["forward"])
        rounds.append(found)
    rates = {name: [found[name] for found in rounds] for name in rounds[0]}
    ours = rates["vretr index"]
    ratios = {
        name: median(mine / other for mine, other in zip(ours, rates[name], strict=True))
        for name in rates
    }
    rates["vretr index, with start-up"] = with_start
    return {"photos_a_second": rates, "ratio": ratios}


def machine() -> str:
    """What the figures depend on."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{model or platform.processor()}, {CORES} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, load before {load}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoders", nargs="+", default=["lite", "ViT-B-32-quickgelu/random"])
    parser.add_argument("--large", type=int, default=96, help="photos of camera.zip; 0: none")
    parser.add_argument("--small", type=int, default=512, help="photos of flickr8k.zip; 0: none")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write every measurement as JSON")
    options = parser.parse_args()

    print(about := machine())
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for (title, source), number in zip(
            SETS.items(), (options.large, options.small), strict=True
        ):
            if not number:
                continue
            photos, part = Path(folder, title), Path(folder, f"part of {title}")
            write_photos(options.data / source, photos, number)
            write_photos(options.data / source, part, max(1, number // 8))
            for encoder in options.encoders:
                found = measure(photos, part, encoder, options)
                results.append({"set": title, "photos": number, "encoder": encoder, **found})
                show(title, number, encoder, found)
    summarise(results)
    if options.out:
        options.out.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")


def show(title: str, number: int, encoder: str, found: dict[str, Any]) -> None:
    print(f"\n{title}, {number} photos, {encoder}: photos a second, vretr's ratio to it")
    for name, rates in found["photos_a_second"].items():
        ratio = f"{found['ratio'][name]:6.2f} x" if name in found["ratio"] else ""
        spread = f"({min(rates):.1f} to {max(rates):.1f})"
        print(f"  {name:27} {median(rates):8.1f} {spread:20} {ratio}")


def summarise(results: list[dict[str, Any]]) -> None:
    """Encoders beside each other: what indexing reaches, and how much of what is possible."""
    print("\nphotos a second: vretr index (share of bound), open_clip as one writes it first")
    for found in results:
        rates = found["photos_a_second"]
        ours = f"{median(rates['vretr index']):8.1f} ({found['ratio']['bound']:.0%})"
        plain = f"{median(rates['plain']):8.1f}" if "plain" in rates else ""
        print(f"  {found['set']:10} {found['encoder']:28} {ours:18} {plain}")


if __name__ == "__main__":
    main()
