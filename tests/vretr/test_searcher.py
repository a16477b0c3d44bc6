"""An index as a library: a batch answers as each query alone does."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from vretr.composers import Composer, WeightedSum
from vretr.encoders.base import unit
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.images import Preprocessing
from vretr.index import Index
from vretr.index.build import build
from vretr.query import Query
from vretr.searcher import Searcher


class Light:
    """Looks at how much light a picture takes away on a 4 x 4 grid; reads names of colours."""

    name, identity, dim = "light", "light 1", 48
    preprocessing = Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1), fit="squash")

    def __init__(self, *, reads_text: bool = True) -> None:
        self.reads_text = reads_text
        self.seen: list[int] = []

    def encode_images(self, images: Sequence[Image.Image] | np.ndarray) -> np.ndarray:
        if not isinstance(images, np.ndarray):
            self.seen.append(len(images))
            images = np.stack([self.preprocessing.pixels(i) for i in images]).transpose(0, 3, 1, 2)
        light = images.reshape(-1, 3, 4, 8, 4, 8).mean(axis=(3, 5)) / 255
        return unit(1.02 - light.reshape(-1, self.dim))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        if unknown := set(texts) - set(ImageColor.colormap):
            raise UsageError(f"{unknown} are no colours")
        pictures = [Image.new("RGB", (32, 32), text) for text in texts]
        return Light().encode_images(pictures)


@pytest.fixture
def index(photos: Path) -> Iterator[Index]:
    build([photos], Light())
    with Index.open(photos / ".vretr") as index:
        yield index


@pytest.fixture
def searcher(index: Index) -> Searcher:
    encoder = Light()
    return Searcher(index, encoder, WeightedSum(encoder))


def names(hits: Sequence) -> list[str]:
    return [hit.path.name for hit in hits]


def test_a_batch_answers_as_each_query_alone(searcher: Searcher, photos: Path, tmp_path) -> None:
    new = tmp_path / "new.png"
    Image.new("RGB", (50, 50), "darkred").save(new)
    queries = [
        Query(text=["red"], k=3),
        Query(text=["blue"], k=3, min_score=0.5),
        Query(text=["red", "blue"], text_weight=[1, 3], k=5),
        Query(image=[photos / "red_line.jpg"], k=4),
        Query(image=[photos / "red_line.jpg"], include_self=True, k=4),
        Query(image=[new, photos / "blue_circle.jpg"], not_text=["green"]),
        Query(not_image=[photos / "green_square.jpg"], filter="*square*"),
        Query(image=[new], text=["green"], not_image=[new], not_text=["red"], k=12),
        Query(text=["red"], k=3),
    ]
    together = searcher.answer_all(queries)
    for query, hits in zip(queries, together, strict=True):
        alone = searcher.answer(query)
        assert names(alone) == names(hits)
        for one, other in zip(alone, hits, strict=True):
            assert one.rank == other.rank and one.score == pytest.approx(other.score, abs=2e-6)
    assert names(together[0]) == names(together[-1])
    assert all("square" in name for name in names(together[6]))


def test_only_photos_that_are_not_indexed_are_encoded(searcher: Searcher, photos: Path, tmp_path):
    shutil.copy(photos / "red_line.jpg", copy := tmp_path / "renamed.jpg")
    Image.new("RGB", (50, 50), "darkred").save(new := tmp_path / "new.png")
    copied = searcher.answer(Query(image=[copy]))
    assert searcher.encoder.seen == [] and "red_line.jpg" not in names(copied)
    searcher.answer_all([Query(image=[new]), Query(image=[new, copy]), Query(not_image=[new])])
    assert searcher.encoder.seen == [1]


def test_the_stored_vector_is_that_of_the_photo(searcher: Searcher, photos: Path) -> None:
    best, *_ = searcher.answer(Query(image=[photos / "blue_square.jpg"], include_self=True))
    assert best.path.name == "blue_square.jpg" and best.score == pytest.approx(1, abs=1e-3)


def test_what_is_wrong_with_one_query_does_not_harm_another(
    searcher: Searcher, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes((photos / "red_line.jpg").read_bytes()[:400])
    (tmp_path / "drawing.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    os.mkfifo(tmp_path / "pipe.jpg")
    bad = [
        Query(image=[tmp_path / "missing.jpg"]),
        Query(image=[Path("https://example.org/cat.jpg")]),
        Query(image=[tmp_path]),
        Query(image=[tmp_path / "pipe.jpg"]),
        Query(image=[tmp_path / ("x" * 5000)]),
        Query(image=[Path("nul\0.jpg")]),
        Query(image=[tmp_path / "broken.jpg"]),
        Query(not_image=[tmp_path / "drawing.jpg"], text=["red"]),
        Query(text=["no colour"]),
        Query(text=["red"], not_text=["red"], not_text_weight=[2]),
    ]
    good = Query(text=["red"], k=2)
    answers = searcher.answer_all([query for each in bad for query in (each, good)])
    expected = names(searcher.answer(good))
    for query, wrong, right in zip(bad, answers[::2], answers[1::2], strict=True):
        assert isinstance(wrong, VretrError)
        assert names(right) == expected
        with pytest.raises(type(wrong)):
            searcher.answer(query)
    assert [wrong.exit_code for wrong in answers[::2]] == [2, 2, 2, 2, 2, 2, 1, 1, 2, 2]


def test_an_encoder_without_words_says_so(index: Index, photos: Path) -> None:
    encoder = Light(reads_text=False)
    searcher = Searcher(index, encoder, WeightedSum(encoder))
    words, picture = searcher.answer_all(
        [Query(text=["red"]), Query(image=[photos / "red_line.jpg"], k=1)]
    )
    assert isinstance(words, UsageError) and "reads no words" in str(words)
    assert len(picture) == 1


def test_the_filter_means_the_path_below_the_root_or_the_name(searcher: Searcher) -> None:
    root = searcher.index.root

    def found(glob: str) -> set[str]:
        return set(names(searcher.answer(Query(text=["red"], k=12, filter=glob))))

    assert found("red_*") == {
        f"red_{shape}.jpg" for shape in ("circle", "square", "triangle", "line")
    }
    assert found("*[!e].jpg") == set()
    assert len(found("*.jpg")) == 12 and found("*.JPG") == set()
    assert found(f"{root}/*") == set() and found("photos/*") == set()


def test_a_composer_may_refuse_one_of_many(searcher: Searcher) -> None:
    class Picky(WeightedSum):
        def compose_batch(self, references, texts, negatives=None, *, weights=None):
            if any("blue" in words for words in texts):
                raise UsageError("not blue")
            return super().compose_batch(references, texts, negatives, weights=weights)

    picky: Composer = Picky(searcher.encoder)
    answers = replace(searcher, composer=picky).answer_all(
        [Query(text=["red"]), Query(text=["blue"]), Query(text=["green"])]
    )
    assert [isinstance(answer, VretrError) for answer in answers] == [False, True, False]


def test_nothing_asked_is_nothing_answered(searcher: Searcher) -> None:
    assert searcher.answer_all([]) == []


def test_the_encoder_of_an_index_must_be_here(index: Index) -> None:
    with pytest.raises(MismatchError, match="light"):
        Searcher.of(index)


class Masking(WeightedSum):
    """Takes masks, and remembers them."""

    reads_masks = True

    def compose_batch(self, references, texts, negatives=None, *, weights=None, masks=None):
        self.masks = masks
        return super().compose_batch(references, texts, negatives, weights=weights)


def test_a_mask_reaches_the_composer_and_the_picture(index: Index, photos: Path) -> None:
    encoder = Light()
    composer = Masking(encoder)
    searcher = Searcher(index, encoder, composer)
    photo = photos / "red_circle.jpg"  # 160 x 120, the circle in the middle
    hits = searcher.answer(Query(image=[photo], mask_box=(40, 20, 80, 80)))
    (mask,) = composer.masks
    assert mask.shape == (32, 32) and mask[10:20, 10:20].all() and not mask[:, :7].any()
    assert photo not in [hit.path for hit in hits]  # it is still no answer to itself
    both = [Query(image=[photo]), Query(image=[photo], mask_box=(40, 20, 80, 80))]
    plain, masked = searcher.answer_all(both)
    assert composer.masks[0] is None and composer.masks[1] is not None
    assert names(masked) == names(hits) and plain != masked
    Image.new("L", (160, 120)).save(black := photos.parent / "black.png")
    wrong, right = searcher.answer_all([Query(image=[photo], mask=black), both[0]])
    assert "black all over" in str(wrong) and names(right) == names(plain)


def test_a_composer_without_masks_says_so(searcher: Searcher, photos: Path) -> None:
    with pytest.raises(UsageError, match="sum has no use for a mask"):
        searcher.answer(Query(image=[photos / "red_circle.jpg"], mask_box=(0, 0, 9, 9)))


def test_options_need_a_composer(index: Index) -> None:
    with pytest.raises(UsageError, match="belongs to a --composer"):
        Searcher.of(index, options=["steps=3"])
