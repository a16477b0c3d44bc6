"""Speed of the line detector beside the released TFLite files and OpenCV's LSD.

    python benchmarks/lsd_speed.py --data FOLDER [--photos 12] [--rounds 5]

FOLDER holds york_urban.zip and mlsd/, the files that M-LSD's authors released. From an RGB array to
line segments, on two threads, the ways in turn, each photo as often as there are rounds; medians.
Processor time is of all threads together: it says more than the clock on a machine that does other
work. Then how far the lines agree. TFLite needs ai-edge-litert, LSD opencv-python-headless.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import lsd
from lsd import tflite
from lsd.architecture import CELL
from lsd.decode import peaks
from lsd.network import OnnxNetwork
from lsd.resizing import squashed
from vretr import images
from vretr.data.sources import folder_of

FILES = ("M-LSD_512_tiny_fp32.tflite", "M-LSD_512_large_fp16.tflite")
SIZE, TOP_K, THREADS, TOGETHER = 512, 200, 2, 8

Way = Callable[[list[np.ndarray]], Any]  # pictures, one after the other or together


def of_tflite(file: Path) -> Callable[[np.ndarray], tuple[np.ndarray, ...]] | None:
    """What its interpreter (XNNPACK) gives for a picture; None if it is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return None
    interpreter = Interpreter(str(file), num_threads=THREADS)
    interpreter.allocate_tensors()
    (given,), outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(picture: np.ndarray) -> tuple[np.ndarray, ...]:
        pixels = np.ones((1, SIZE, SIZE, 4), np.float32)
        pixels[0, ..., :3] = squashed(Image.fromarray(picture), SIZE)
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
        points, scores, maps = (interpreter.get_tensor(each["index"])[0] for each in outputs)
        return points, scores, maps

    return run


def lines_of(points: np.ndarray, scores: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Line segments from what the released files give."""
    rows, columns = points.T
    return CELL * (np.stack([columns, rows, columns, rows], axis=1) + maps[rows, columns])


def ways_of(file: Path) -> dict[str, Way]:
    """Ours, one by one and in batches, and TFLite's where it is here."""
    detector = lsd.load(file, top_k=TOP_K, score=0.0)
    ways: dict[str, Way] = {
        "ours": lambda pictures: [detector.detect(picture) for picture in pictures],
        f"ours, {TOGETHER} together": detector.detect_batch,
    }
    if run := of_tflite(file):
        ways = {"TFLite": lambda pictures: [lines_of(*run(each)) for each in pictures], **ways}
    return ways


def of_opencv() -> dict[str, Way]:
    """OpenCV's LSD, if it is installed."""
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(THREADS)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD)

    def run(pictures: list[np.ndarray]) -> list[Any]:
        return [found.detect(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY))[0] for each in pictures]

    return {"OpenCV LSD": run}


def timed(ways: dict[str, Way], pictures: list[np.ndarray], rounds: int) -> None:
    """Prints milliseconds a picture, and ratios to the first way."""
    clock: dict[str, list[float]] = {name: [] for name in ways}
    work: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for first in range(0, len(pictures), TOGETHER):
            some = pictures[first : first + TOGETHER]
            for name, way in ways.items():
                started = time.perf_counter(), time.process_time()
                way(some)
                spent = time.perf_counter() - started[0], time.process_time() - started[1]
                if number:  # the first round warms up
                    clock[name].append(1000 * spent[0] / len(some))
                    work[name].append(1000 * spent[1] / len(some))
    base = next(iter(ways))
    for name in ways:
        wall, cpu = statistics.median(clock[name]), statistics.median(work[name])
        faster = statistics.median(clock[base]) / wall, statistics.median(work[base]) / cpu
        print(
            f"  {name:22} {wall:7.1f} ms, {cpu:7.1f} ms of processor time, "
            f"{faster[0]:.2f} x and {faster[1]:.2f} x {base}",
            flush=True,
        )


def agreement(file: Path, pictures: list[np.ndarray]) -> None:
    """Prints how far our network's points and displacements are those of TFLite."""
    run = of_tflite(file)
    if run is None:
        print("  TFLite is left out: pip install ai-edge-litert")
        return
    network, same, furthest, scored = OnnxNetwork(tflite.read(file)), [], 0.0, 0.0
    for picture in pictures:
        points, scores, maps = run(picture)
        ours = network(squashed(Image.fromarray(picture), SIZE)[None])[0]
        rows, columns, _ = peaks(ours[0], TOP_K)
        mine = {*zip(rows.tolist(), columns.tolist(), strict=True)}
        same.append(len(mine & {tuple(point) for point in points.tolist()}))
        y, x = points.T
        furthest = max(furthest, float(np.abs(ours[1:, y, x].T - maps[y, x]).max()))
        sigmoids = 1 / (1 + np.exp(-ours[0, y, x]))
        scored = max(scored, float(np.abs(sigmoids - scores).max()))
    print(
        f"  the same {min(same)} to {max(same)} of {TOP_K} points; displacements differ by at most "
        f"{furthest:.4f} cells, scores by {scored:.1e}"
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = folder_of(options.data / "york_urban.zip")
    paths = sorted(images.find([folder]))[: options.photos]
    pictures = [np.asarray(images.open(path)) for path in paths]
    opencv = of_opencv()
    for file in FILES:
        print(f"{file}, {len(pictures)} photos of {pictures[0].shape[1]} x {pictures[0].shape[0]}")
        timed(ways_of(options.data / "mlsd" / file) | opencv, pictures, options.rounds)
        agreement(options.data / "mlsd" / file, pictures)


if __name__ == "__main__":
    main()
