"""How near found lines lie to lines whose place is known, with and without sub-pixel centres.

    python benchmarks/lsd_localisation.py [--data FOLDER] [--scenes 100] [--seed 1000]

Rendered scenes of 512 pixels (`vretr.data.worlds.wireframe`, which no training of ours has seen
from this seed on). A found line counts where both ends lie within 8 pixels of a true line's; its
ends are then compared. FOLDER/mlsd holds the released files; without it only ours are measured.
"""

import argparse
from pathlib import Path

import numpy as np

import lsd
from lsd.detector import Detector
from lsd.files import shipped
from vretr.data.worlds import wireframe

SIZE, SCORE, NEAR = 512, 0.2, 8.0
FILES = ("M-LSD_512_tiny_fp32.tflite", "M-LSD_512_large_fp16.tflite")


def errors(detector: Detector, scenes: int, seed: int) -> np.ndarray:
    """Of each matched line [N, 2, 2]: how far each end lies to the right and down of the true."""
    found = []
    for number in range(scenes):
        scene = wireframe(number, seed=seed, size=SIZE)
        lines = detector.detect(scene.picture).ends.reshape(-1, 1, 2, 2)
        if not len(lines):
            continue
        true = scene.lines.reshape(1, -1, 2, 2)
        ways = np.stack([lines - true, lines - true[:, :, ::-1]], axis=2)  # [N, M, 2, end, xy]
        apart = np.linalg.norm(ways, axis=-1).max(axis=-1).reshape(len(lines), -1)
        best = apart.argmin(axis=1)
        each = ways.reshape(len(lines), -1, 2, 2)[np.arange(len(lines)), best]
        found.append(each[apart.min(axis=1) < NEAR])
    return np.concatenate(found)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args()
    models = [*shipped().items()]
    if options.data:
        models += [(file, options.data / "mlsd" / file) for file in FILES]
    print(f"{'':30} {'':10} lines  mean px  median px  x px   y px")
    for name, model in models:
        for subpixel in (False, True):
            detector = lsd.load(model, score=SCORE, subpixel=subpixel, clip=False)
            off = errors(detector, options.scenes, options.seed)
            away = np.linalg.norm(off, axis=-1)
            right, down = off.mean(axis=(0, 1))
            print(
                f"{name:30} {'sub-pixel' if subpixel else 'cells':10} {len(off):5} "
                f"{away.mean():8.3f} {np.median(away):10.3f} {right:+6.3f} {down:+6.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
