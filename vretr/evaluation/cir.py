"""Composed retrieval: a picture and words find pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vretr import metrics
from vretr.composers import Composer, load_composer
from vretr.data import triplets
from vretr.data.features import Vectors, image_features
from vretr.data.triplets import Triplet
from vretr.encoders import load_encoder
from vretr.errors import UsageError
from vretr.evaluation.config import CirConfig
from vretr.methods import Report
from vretr.paths import display

MEASURES = ("recall@1", "recall@5", "recall@10", "recall@50", "map@10")
QUERIES = 1024  # composed at a time


def evaluate(config: CirConfig) -> Report:
    """Measures a composer on a file of triplets.

    The gallery is the triplet's own, or else the union of all pictures that the file names. The
    reference is not searched for and is taken out of the gallery unless it is kept. Recall@k: one
    of the targets is among the first k; mAP@k as in CIRCO.

    Raises:
        UsageError: there is no such composer, or it needs words and the encoder reads none.
        MismatchError: the triplets are malformed, or pictures are missing or unreadable.
    """
    file = Path(config.dataset.partition(":")[2])
    data = triplets.load(file, root=config.root)
    encoder = load_encoder(config.encoder, device=config.device, precision=config.precision)
    composer = load_composer(config.composer, encoder, picture_weight=config.picture_weight)
    if not encoder.reads_text and config.composer != "image":
        raise UsageError(f"{encoder.name} does not read words; only --composer image works.")
    pictures = triplets.pictures(data)
    vectors = image_features(
        encoder,
        pictures,
        variant=config.variant,
        batch_size=config.batch_size,
        workers=config.workers,
    )
    ranks = score(composer, data, pictures, vectors, config=config)
    settings = {
        "triplets": len(data),
        "gallery": _gallery_size(data, len(pictures)),
        "reference": "kept" if config.keep_reference else "removed",
        "composer": composer.name,
        "picture_weight": getattr(composer, "picture_weight", None),
        "encoder": encoder.name,
        "identity": encoder.identity,
        "precision": config.precision,
        "ties": config.ties,
    }
    return Report(
        dataset=f"triplets:{display(file)}",
        split="all",
        metrics=metrics.figures(ranks, *MEASURES),
        settings={name: value for name, value in settings.items() if value is not None},
    )


def score(
    composer: Composer,
    data: Sequence[Triplet],
    pictures: Sequence[Path],
    vectors: Vectors,
    *,
    config: CirConfig,
) -> metrics.Ranks:
    """Ranks of the targets; `vectors` [N, dim] are those of the N `pictures`."""
    place = {path: index for index, path in enumerate(pictures)}
    references = [place[triplet.reference] for triplet in data]
    galleries = {
        gallery: np.array([place[path] for path in (gallery.paths if gallery else pictures)])
        for gallery in dict.fromkeys(triplet.gallery for triplet in data)
    }
    return metrics.ranks_from_vectors(
        _compose(composer, vectors[references], [triplet.text for triplet in data]),
        vectors,
        relevant=[[place[path] for path in triplet.targets] for triplet in data],
        left_out=None if config.keep_reference else [[reference] for reference in references],
        among=[galleries[triplet.gallery] for triplet in data],
        ties=config.ties,
    )


def _compose(composer: Composer, references: Vectors, texts: Sequence[str]) -> Vectors:
    return np.concatenate(
        [
            composer.compose_batch(
                references[start : start + QUERIES, None],
                [[text] for text in texts[start : start + QUERIES]],
            )
            for start in range(0, len(texts), QUERIES)
        ]
    )


def _gallery_size(data: Sequence[Triplet], pictures: int) -> int | str:
    """How many pictures are searched in; "10 to 15" where that differs between triplets."""
    sizes = {pictures if triplet.gallery is None else len(triplet.gallery) for triplet in data}
    least, most = min(sizes), max(sizes)
    return least if least == most else f"{least} to {most}"
