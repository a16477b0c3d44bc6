"""Memory of `vretr index` while it reads many small photos: its peak, and whether it grows.

    python benchmarks/memory.py [--photos 10000] [--encoder tiny] [--seconds 0.5] [--out FILE.json]

The photos are drawn (worlds of 64 x 64 pixels, no two files equal). Every half second the resident
memory of the process and its children is read from /proc. The slope is that of a straight line
through all but the first fifth, by least squares; 0 MiB per 1,000 photos is flat. `tiny` is an
encoder without weights from the tests: with it the pipeline alone is measured, that is reading,
decoding and the store.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vretr.data.worlds import World

STAND_IN = Path(__file__).resolve().parents[1] / "tests" / "cli" / "site"
PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20  # MiB


def write_photos(folder: Path, number: int) -> None:
    """Small pictures, a thousand to a folder; the last bytes make each file another one."""
    world = World(seed=0, size=64)
    drawn = []
    for scene in world.scenes(min(number, 500)):
        path = folder / "drawn.png"
        world.render(scene).save(path, compress_level=1)
        drawn.append(path.read_bytes())
        path.unlink()
    for serial in range(number):
        place = folder / f"{serial // 1000:03}"
        place.mkdir(exist_ok=True)
        content = drawn[serial % len(drawn)] + serial.to_bytes(4, "big")
        (place / f"{serial:06}.png").write_bytes(content)


def resident(process: int) -> float:
    """MiB of a process and its children: anonymous memory and what it has mapped of files."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        # A child is listed with the thread that has started it.
        threads = Path(f"/proc/{process}/task").glob("*/children")
        children = [int(child) for thread in threads for child in thread.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0.0
    return pages * PAGE + sum(map(resident, children))


def sample(command: list[str], environment: dict[str, str], seconds: float) -> list[float]:
    """Runs the command; its resident memory every `seconds`."""
    found = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            found.append(resident(process.pid))
            time.sleep(seconds)
    if process.returncode:
        raise SystemExit(f"vretr index ended with {process.returncode}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="not needed here; every benchmark takes it")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--encoder", default="tiny")
    parser.add_argument("--seconds", type=float, default=0.5, help="between two readings")
    parser.add_argument("--out", type=Path, help="write every reading as JSON")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), options.photos)
        command = [sys.executable, "-m", "cli", "index", folder, "--encoder", options.encoder]
        path = os.pathsep.join([str(STAND_IN), os.environ.get("PYTHONPATH", "")])
        memory = sample(command, {**os.environ, "PYTHONPATH": path}, options.seconds)

    settled = np.array(memory[len(memory) // 5 : -1])  # at the last one it was ending
    if len(settled) < 4:
        raise SystemExit("It was over too soon to see a slope; take more --photos.")
    photos = np.linspace(0.2, 1, len(settled)) * options.photos
    slope = np.polyfit(photos / 1000, settled, 1)[0]
    print(f"{options.photos:,} photos, {options.encoder}, {len(memory)} readings")
    print(f"peak    {max(memory):8.1f} MiB")
    print(f"median  {np.median(settled):8.1f} MiB after the first fifth")
    print(f"slope   {slope:+8.2f} MiB per 1,000 photos")
    if options.out:
        options.out.write_text(json.dumps({"slope": slope, "memory_mib": memory}, indent=1) + "\n")


if __name__ == "__main__":
    main()
