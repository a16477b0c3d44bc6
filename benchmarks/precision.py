"""What lower precision changes: cosine to float32, the top ten of real queries, and the speed.

    python benchmarks/precision.py --data FOLDER [--encoder lite --encoder ViT-B-32/random]
        [--photos 1000] [--precision bf16] [--threads 2]

Photos and captions are those of the dev split. Two encodings of the same photos and captions are
compared: the smallest and the median cosine of a photo's (a caption's) two vectors, and how many of
the ten best photos of each caption, and of each photo, are the same.

Untrained weights put all photos close together, so that the ten best are decided by tiny
differences: their overlap is a lower bound for that of trained weights. `spread` shows it: the mean
cosine of two different photos.
"""

import argparse
import io
import json
import logging
import time
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vretr.encoders import Encoder, load_encoder

BATCH = 32


def dev_split(path: Path, count: int) -> tuple[list[Image.Image], list[str]]:
    """The first photos of the dev split and the first caption of each."""
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("metadata.jsonl").decode().splitlines()
        rows = [row for row in map(json.loads, lines) if row["split"] == "dev"][:count]
        photos = [Image.open(io.BytesIO(archive.read(row["file_name"]))) for row in rows]
        return [photo.convert("RGB") for photo in photos], [row["captions"][0] for row in rows]


def encoded(
    encoder: Encoder, pixels: NDArray[np.uint8], texts: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Vectors of photos and captions, and photos a second once warm."""
    encoder.encode_images(pixels[:BATCH])
    start = time.perf_counter()
    images = [encoder.encode_images(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)]
    seconds = time.perf_counter() - start
    words = encoder.encode_texts(texts) if encoder.reads_text else np.empty((0, encoder.dim))
    return np.concatenate(images), words.astype(np.float32), len(pixels) / seconds


def overlap(
    queries: tuple[NDArray[np.float32], NDArray[np.float32]],
    gallery: tuple[NDArray[np.float32], NDArray[np.float32]],
    k: int = 10,
) -> float:
    """Mean share of the k best that both encodings find."""
    tops = [np.argsort(-(q @ g.T), axis=1)[:, :k] for q, g in zip(queries, gallery, strict=True)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*tops, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with flickr8k.zip")
    parser.add_argument("--encoder", action="append")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--precision", default="bf16", choices=["auto", "bf16", "fp16"])
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # that random weights are random
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    photos, texts = dev_split(options.data / "flickr8k.zip", options.photos)
    for name in options.encoder or ["lite", "ViT-B-32/random"]:
        exact = load_encoder(name, precision="fp32")
        pixels = np.stack([exact.preprocessing.pixels(photo) for photo in photos])
        pixels = pixels.transpose(0, 3, 1, 2)
        images, words, before = encoded(exact, pixels, texts)
        low = load_encoder(name, precision=options.precision)
        low_images, low_words, after = encoded(low, pixels, texts)
        report = {
            "encoder": name,
            "photos": len(photos),
            "fp32 photos/s": round(before, 1),
            f"{options.precision} photos/s": round(after, 1),
            "photos: least cosine": float((images * low_images).sum(1).min()),
            "photos: median cosine": float(np.median((images * low_images).sum(1))),
            "photo -> photo top-10 overlap": overlap((images, low_images), (images, low_images)),
            "spread": float(
                (images.sum(0) @ images.sum(0) - len(images)) / (len(images) * (len(images) - 1))
            ),
        }
        if len(words):
            report["texts: least cosine"] = float((words * low_words).sum(1).min())
            report["text -> photo top-10 overlap"] = overlap(
                (words, low_words), (images, low_images)
            )
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
