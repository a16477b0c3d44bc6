"""What a score means, against the formula written out by hand; and what no calibration may harm."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vretr import calibration, images
from vretr.calibration import Scale
from vretr.composers import WeightedSum, load_composer
from vretr.encoders.base import unit
from vretr.errors import UsageError
from vretr.images import Preprocessing
from vretr.index import Index
from vretr.index.build import build
from vretr.query import Query
from vretr.searcher import Searcher


class Dice:
    """Any words mean a random direction, the same each time; pictures what they look like."""

    name, dim, reads_text = "dice", 48, True
    preprocessing = Preprocessing(size=4, mean=(0, 0, 0), std=(1, 1, 1), fit="squash")

    def __init__(self, identity: str = "dice 1") -> None:
        self.identity = identity
        self.read = 0

    def encode_images(self, images: Sequence[Image.Image] | np.ndarray) -> np.ndarray:
        if not isinstance(images, np.ndarray):
            images = np.stack([self.preprocessing.pixels(i) for i in images]).transpose(0, 3, 1, 2)
        return unit(images.reshape(len(images), -1) - 127.5)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.read += len(texts)
        seeds = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts)
        return unit(np.stack([np.random.default_rng(s).standard_normal(48) for s in seeds]))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(calibration, "_known", {})
    return tmp_path / "home"


@pytest.fixture
def index(photos: Path) -> Iterator[Index]:
    build([photos], Dice())
    with Index.open(photos / ".vretr") as index:
        yield index


@pytest.fixture
def searcher(index: Index) -> Searcher:
    encoder = Dice()
    return Searcher(index, encoder, WeightedSum(encoder))


def matrix(index: Index, photos: Path) -> tuple[list[Path], np.ndarray]:
    paths = sorted(photos.glob("*.jpg"))
    return paths, np.stack([index.vector_of(images.digest(path).digest) for path in paths])


def fit_by_hand(
    queries: np.ndarray, query: np.ndarray, photos: np.ndarray, score: float, *, level=max
) -> float:
    nearest = photos[np.argsort(-photos @ query)[:5]]
    third, spread = [], []
    for photo in nearest:
        scores = sorted(float(other @ photo) for other in queries)
        third.append(scores[-3])
        spread.append(np.std(scores))
    return 1 / (1 + np.exp(-2 * (score - level(third)) / np.mean(spread)))


def test_the_phrases_are_what_they_should_be() -> None:
    phrases = calibration.phrases()
    assert len(phrases) == len(set(phrases)) > 250
    assert all(phrase == phrase.strip() and phrase.isascii() and phrase for phrase in phrases)


def test_words_have_to_beat_the_phrases(searcher: Searcher, index: Index, photos: Path) -> None:
    _, vectors = matrix(index, photos)
    phrases = Dice().encode_texts(calibration.phrases())
    calibration.read_phrases(searcher.encoder)
    fits = []
    for text in ("red", "a rare one", "some third thing"):
        query = Dice().encode_texts([text])[0]
        hits = searcher.answer(Query(text=[text], k=12), fits=True)
        fits += [hit.fit for hit in hits]
        by_hand = [fit_by_hand(phrases, query, vectors, hit.score) for hit in hits]
        np.testing.assert_allclose([hit.fit for hit in hits], by_hand, atol=2e-3)
        assert [hit.fit for hit in hits] == sorted((hit.fit for hit in hits), reverse=True)
        kept = searcher.answer(Query(text=[text], k=12, min_score="auto"))
        assert kept == [hit for hit in hits if hit.fit >= calibration.FITS]
    assert min(fits) < 0.5


def test_words_beside_a_picture_have_to_beat_phrases_there(searcher, index, photos: Path):
    paths, vectors = matrix(index, photos)
    calibration.read_phrases(searcher.encoder)
    query = Query(image=[paths[0]], text=["red"], not_text=["blue"], text_weight=[2], k=11)
    hits = searcher.answer(query, fits=True)
    composed = WeightedSum(Dice())

    def ask(words: str) -> np.ndarray:
        from vretr.composers import Negatives

        away = Negatives(texts=["blue"])
        return composed.compose(vectors[:1], [words], away, weights=query.weights)

    others = np.stack([ask(phrase) for phrase in calibration.phrases()])
    by_hand = [
        fit_by_hand(others, ask("red"), vectors[1:], hit.score, level=np.median) for hit in hits
    ]
    np.testing.assert_allclose([hit.fit for hit in hits], by_hand, atol=5e-3)


def test_a_picture_has_to_be_as_near_as_photos_are_to_one_another(
    searcher, index, photos, tmp_path
):
    _, vectors = matrix(index, photos)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -1)
    level, spread = np.percentile(products.max(1), 10), products.max(1).std()
    Image.new("RGB", (30, 30), "black").save(tmp_path / "black.png")
    hits = searcher.answer(Query(image=[tmp_path / "black.png"], k=3), fits=True)
    steps = [np.clip(2 * (hit.score - level) / spread, -50, 50) for hit in hits]
    by_hand = 1 / (1 + np.exp(-np.array(steps)))
    np.testing.assert_allclose([hit.fit for hit in hits], by_hand, atol=2e-3)
    assert searcher.answer(Query(image=[tmp_path / "black.png"], min_score="auto")) == []
    assert searcher.answer(Query(image=[photos / "red_line.jpg"], min_score="auto"))


def test_words_that_a_composer_does_not_read_do_not_count(index: Index, photos: Path) -> None:
    encoder = Dice()
    calibration.read_phrases(encoder)
    searcher = Searcher(index, encoder, load_composer("image", encoder))
    both = searcher.answer(Query(image=[photos / "red_line.jpg"], text=["x"]), fits=True)
    assert both == searcher.answer(Query(image=[photos / "red_line.jpg"]), fits=True)


def test_fits_are_told_where_the_phrases_were_read_and_auto_reads_them(searcher: Searcher) -> None:
    before = searcher.answer(Query(text=["red"]), fits=True)
    assert [hit.fit for hit in before] == [None] * 10
    searcher.answer(Query(text=["red"], min_score="auto"))
    after = searcher.answer(Query(text=["red"]), fits=True)
    assert None not in [hit.fit for hit in after]
    assert [hit.fit for hit in searcher.answer(Query(text=["red"]))] == [None] * 10


def test_phrases_are_read_once_a_machine(home: Path) -> None:
    first, second = Dice(), Dice()
    vectors = calibration.read_phrases(first)
    calibration._known.clear()
    np.testing.assert_array_equal(calibration.read_phrases(second), vectors)
    assert first.read == len(calibration.phrases()) and second.read == 0
    assert calibration.phrase_vectors(Dice("dice 2")) is None
    (file,) = (home / "phrases").iterdir()
    file.write_bytes(file.read_bytes()[:500])  # as a full disk would leave it
    calibration._known.clear()
    np.testing.assert_array_equal(calibration.read_phrases(second), vectors)


def test_a_home_that_cannot_be_written_costs_time_only(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "file"))
    encoder = Dice()
    assert calibration.read_phrases(encoder) is not None
    assert calibration.read_phrases(encoder) is not None
    assert encoder.read == len(calibration.phrases())


def test_what_cannot_be_told(searcher: Searcher, photos: Path, monkeypatch) -> None:
    (away, asked) = searcher.answer_all(
        [Query(not_text=["red"], min_score="auto"), Query(text=["red"], min_score="auto")]
    )
    assert isinstance(away, UsageError) and isinstance(asked, list)
    assert [hit.fit for hit in searcher.answer(Query(not_text=["red"]), fits=True)] == [None] * 10
    monkeypatch.setattr(calibration, "_known", {})
    monkeypatch.setattr(Dice, "identity", "none", raising=False)
    assert Scale.of_pictures(np.zeros(0, np.float32)) is None
    assert Scale.of_words(np.ones((5, 3), np.float32)) is None


@pytest.mark.parametrize("value", ["Auto", "", "0.5", float("nan")])
def test_a_least_score_is_a_number_or_auto(value: object) -> None:
    with pytest.raises(UsageError, match="auto"):
        Query(text=["a"], min_score=value)


def test_a_fit_is_half_at_the_level_and_never_out_of_range() -> None:
    scale = Scale(0.3, 0.1)
    assert scale.fit(0.3) == 0.5 and 0.5 < scale.fit(0.35) < scale.fit(0.4) < 1
    assert (Scale(0, 1e-6).fit(1), Scale(0, 1e-6).fit(-1)) == (1, 0)


def test_neighbours_of_photos_spread_over_the_index(index: Index, photos: Path) -> None:
    _, vectors = matrix(index, photos)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -1)
    np.testing.assert_allclose(
        sorted(index.neighbour_scores(100)), sorted(products.max(1)), atol=1e-3
    )
    assert len(index.neighbour_scores(5)) == 5
