"""What a short command costs: help, and a cold query in words, whole processes, median of N.

    python benchmarks/startup.py [--rows 100000] [--rounds 7] [--rclip FOLDER]

Wall and processor time of `vretr --help`, of `vretr train --help` and of `vretr query --text` with
`lite` and with open_clip's ViT-B/32 (random weights, its words prepared as `vretr index` does) on
indices of random vectors, beside importing torch or open_clip alone and, of a FOLDER that
`rclip_setup.py` has prepared with as many rows, rclip. Then what a query of a long batch costs.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np

from vretr.encoders import load_encoder
from vretr.encoders.base import PreparesTexts
from vretr.images import File
from vretr.index import store

CLIP = "ViT-B-32/random"
# Compiled modules are kept, as they are where it is installed; the first run writes them.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
RCLIP = "rclip -n -f, as many vectors"


def filled(folder: Path, rows: int, *, name: str = "lite") -> None:
    """An index of `rows` photos that do not exist, with random unit vectors."""
    encoder, draws = load_encoder(name), np.random.default_rng(0)
    if isinstance(encoder, PreparesTexts):
        encoder.prepare_texts()
    folder.mkdir(exist_ok=True)
    with store.writing(folder / ".vretr", encoder, root=folder, rebuild=False) as target:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            vectors = draws.standard_normal((count, encoder.dim), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            changes = store.Changes()
            for number, vector in enumerate(vectors, start):
                file = File(folder / f"{number}.jpg", 1, 1, number.to_bytes(16, "little"))
                changes.photos.append((os.fsencode(file.path.name), 1, 1, file.digest))
                changes.contents.append((file.digest, 1))
                changes.vectors.append(vector)
            target.commit(changes)
        target.tidy()


def cost(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rclip(place: Path) -> list[str]:
    """A cold query of rclip; `env` and `-C` set what it needs without a shell."""
    environment = [f"RCLIP_DATADIR={place / 'data'}", "HF_HUB_OFFLINE=1"]
    program = place / "venv" / "bin" / "rclip"
    return ["env", "-C", str(place / "photos"), *environment, str(program), "-n", "-f", "a red car"]


def batch(folder: Path) -> Path:
    """A file of 1,000 queries."""
    words = (
        ("red", "small", "old", "wet", "happy", "brown", "wooden", "fast", "sleeping", "white"),
        ("dog", "car", "child", "boat", "house", "horse", "chair", "woman", "bird", "train"),
        ("snow", "rain", "park", "street", "water", "grass", "night", "kitchen", "forest", "city"),
    )
    file = folder / "queries.txt"
    file.write_text(
        "\n".join(f"a {how} {what} in the {where}" for how, what, where in product(*words))
    )
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="not needed here; every benchmark takes it")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rclip", type=Path, help="folder that rclip_setup.py has prepared")
    options = parser.parse_args()
    vretr = [sys.executable, "-m", "cli"]
    asked = [*vretr, "query", "--text", "a red car"]
    commands = {
        "vretr --help": [*vretr, "--help"],
        "vretr train --help": [*vretr, "train", "--help"],
        f"vretr query --text, {options.rows:,} vectors": asked,
        f"the same with {CLIP}": [*asked, "--in", "clip"],
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        "python -c 'import open_clip'": [sys.executable, "-c", "import open_clip"],
    }
    if options.rclip:
        commands[RCLIP] = rclip(options.rclip.resolve())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        filled(folder, options.rows)
        filled(folder / "clip", options.rows, name=CLIP)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):  # interleaved: the machine is noisy
            for name, command in commands.items():
                taken[name].append(cost(command, folder))
        many = [*vretr, "query", "--batch", str(batch(folder))]
        batches = {
            "lite": [cost(many, folder)[0] for _ in range(3)],
            CLIP: [cost([*many, "--in", "clip"], folder)[0] for _ in range(3)],
        }
    print(f"{'':44} wall s (min)    processor s")
    for name, times in taken.items():
        wall, cpu = zip(*times, strict=True)
        print(f"{name:44} {median(wall):.2f} ({min(wall):.2f})     {median(cpu):.2f}")
    for name, walls in batches.items():
        print(f"--batch of 1,000 queries with {name}: {median(walls):.2f} ms each, start included")
    if options.rclip:
        medians = {name: median(wall for wall, _ in times) for name, times in taken.items()}
        for name, asking in zip(("lite", CLIP), list(commands)[2:4], strict=True):
            ratio = medians[asking] / medians[RCLIP]
            print(f"a cold query with {name} takes {ratio:.2f} of rclip's time")


if __name__ == "__main__":
    main()
