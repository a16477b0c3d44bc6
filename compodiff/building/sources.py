"""The sources of `vretr build-triplets`: each gives rows."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from compodiff.build_config import BuildConfig
from compodiff.building import captions, filters, keywords, lookalikes, mining, pairing
from compodiff.building.captions import TextTriplet
from compodiff.building.filters import Thresholds
from compodiff.building.folder import Photos, read, relative
from compodiff.building.pairing import Judge
from compodiff.building.phrasings import phrase
from compodiff.building.rows import Made, row
from compodiff.building.splitting import drawn
from vretr.data.features import image_features
from vretr.data.sources import Row, refuse_unreadable
from vretr.encoders.base import Encoder
from vretr.errors import MismatchError
from vretr.paths import display

log = logging.getLogger(__name__)


def source_of(config: BuildConfig, encoder: Encoder | None) -> Made:
    """What `config.from_` names.

    Raises:
        MismatchError: as the source's own function says.
    """
    if config.from_ == "captions":
        return of_captions(config, encoder)
    if config.from_ == "folder":
        return of_folder(config, encoder)
    if config.from_ == "generate":
        from compodiff.building.generating import of_text_triplets

        return of_text_triplets(config, encoder)
    from compodiff.building.importing import of_table

    return of_table(config, encoder)


def of_captions(config: BuildConfig, encoder: Encoder | None) -> Made:
    """Triplets of words: pictures are null, and captions stand in their place."""
    rejected: Counter[str] = Counter()
    steps = {"captions": 0, "swaps": 0}
    read = _counted(captions.read(config.source, config.column, rejected), steps, "captions")
    stream = islice(read, config.limit or None)
    if config.rewrite is not None:
        from compodiff.building.rewriting import rewritten

        texts = rewritten(stream, config, rejected)
    else:
        table = keywords.load(config.keywords, config.groups)
        texts = captions.swapped(
            stream,
            table,
            captions.allowed(table, encoder, config.sim_band),
            per_caption=config.per_caption,
            per_pair=config.per_pair,
            seed=config.seed,
            rejected=rejected,
        )
    return Made(_text_rows(texts, config, steps, rejected), steps, rejected)


def _counted(texts: Iterator[str], steps: dict[str, int], name: str) -> Iterator[str]:
    for text in texts:
        steps[name] += 1
        yield text


def _text_rows(
    texts: Iterator[TextTriplet],
    config: BuildConfig,
    steps: dict[str, int],
    rejected: Counter[str],
) -> Iterator[Row]:
    seen: set[int] = set()
    for each in texts:
        steps["swaps"] += 1
        split = drawn(each.split_key, val=config.val, test=config.test, seed=config.seed)
        for reference, target, edit in (
            (each.reference, each.target, each.edit),
            (each.target, each.reference, each.edit.inverse()),
        )[: 1 + config.inverse]:
            if reference.lower() == target.lower():
                rejected["nothing changes"] += 1
                continue
            if (pair := captions.hash_of(f"{reference}\0{target}".lower())) in seen:
                rejected["triplet seen before"] += 1
                continue
            seen.add(pair)
            text = each.text or phrase((edit,), config.seed, reference, target)
            yield row(
                reference=None,
                targets=[],
                text=text,
                captions=(reference, target),
                edits=(edit,),
                source="captions",
                seed=config.seed,
                split=split,
            )


def of_folder(config: BuildConfig, encoder: Encoder | None) -> Made:
    """Triplets of a folder's own photos.

    Raises:
        MismatchError: no labels and no captions, or what is wrong with them; unreadable photos.
    """
    photos = read(config)
    rejected: Counter[str] = Counter(photos.left_out)
    signature = None
    if encoder is None:
        signature, unreadable = lookalikes.signatures(photos.paths, workers=config.workers)
        if unreadable and config.allow_missing:
            photos, signature = _without(photos, signature, {each.path for each in unreadable})
            log.warning("%d photos cannot be read and are left out", len(unreadable))
            rejected["photo cannot be read"] = len(unreadable)
        else:
            refuse_unreadable(unreadable)
    vectors = None
    if encoder is not None:
        vectors = image_features(encoder, photos.paths, workers=config.workers)
    mined = _mined(photos, config, encoder, vectors)
    judge = Judge(signature)
    if encoder is not None and vectors is not None:
        wanted = filters.thresholds(config, encoder, Thresholds(max_img_img=0.985))
        near = pairing.neighbours(vectors, config.neighbours) if config.neighbours else None
        words = None
        if wanted.min_dir is not None or wanted.min_txt is not None:
            filters.require(encoder)
            words = pairing.words_of(mined, encoder)
        judge = Judge(None, vectors, near, wanted, words)
    names = [relative(path, config.out) for path in photos.paths]
    steps = {
        "photos": len(photos.paths),
        "attributes": list(photos.attributes),
        "pairs": sum(len(each.targets) for each in mined),
    }
    made = pairing.rows_of(mined, photos, names, judge, config, rejected)
    return Made(made, steps, rejected, photos.paths)


def _mined(
    photos: Photos, config: BuildConfig, encoder: Encoder | None, vectors: filters.Vectors | None
) -> Sequence[mining.Mined]:
    if photos.captions:
        from compodiff.building.caption_edits import by_captions

        return [*by_captions(photos.captions, keywords.load(config.keywords), config.seed)]
    if not photos.attributes and encoder is not None and vectors is not None:
        from compodiff.building.zero_shot import seen

        table = keywords.load(config.keywords, config.groups)
        photos = seen(photos, vectors, table, encoder, margin=config.margin)
    if not photos.attributes:
        raise MismatchError(
            f"{display(config.source)} has no labels and no captions (labels.jsonl, "
            "metadata.jsonl, labels.csv or folders of classes): with --by zero-shot and --encoder "
            "they are guessed."
        )
    return [
        *mining.by_attributes(
            photos, change=config.change, same=config.same, max_diff=config.max_diff
        )
    ]


def _without(
    photos: Photos, signature: lookalikes.Signature, gone: set[Path]
) -> tuple[Photos, lookalikes.Signature]:
    kept = [place for place, path in enumerate(photos.paths) if path not in gone]
    left = Photos(
        [photos.paths[place] for place in kept],
        [photos.rows[place] for place in kept],
        [photos.captions[place] for place in kept] if photos.captions else [],
        photos.attributes,
        photos.left_out,
    )
    places = np.array(kept, np.int64)
    return left, lookalikes.Signature(signature.hashes[places], signature.colours[places])
