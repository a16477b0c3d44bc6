from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vretr import images, paths
from vretr.data import features
from vretr.encoders import unit
from vretr.errors import MismatchError, UsageError
from vretr.images import Preprocessing


class Mean:
    """The mean colour as a vector, the length of a text as another; counts what it is given."""

    name, dim, reads_text = "mean", 3, True
    preprocessing = Preprocessing(8, (0.0,) * 3, (1.0,) * 3)

    def __init__(self, identity: str = "mean-1") -> None:
        self.identity = identity
        self.seen = 0

    def encode_images(self, images: Any) -> NDArray[np.float32]:
        self.seen += len(images)
        return unit(np.asarray(images).mean(axis=(2, 3)))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += len(texts)
        return unit(np.array([[len(text), 1, 0] for text in texts]))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(features, "SHARD", 5)


def test_pictures_are_encoded_once_and_in_order(photos: Path) -> None:
    encoder, files = Mean(), sorted(photos.iterdir(), reverse=True)
    first = features.image_features(encoder, files, batch_size=2, workers=1)
    assert first.shape == (12, 3) and first.dtype == np.float32
    assert np.argmax(first[[0, -1]], axis=1).tolist() == [0, 2]  # red_triangle ... blue_circle
    again = features.image_features(encoder, files, batch_size=3, workers=0)
    assert encoder.seen == 12 and again.tobytes() == first.tobytes()
    one = features.image_features(encoder, files[3:4], workers=0)
    assert one == pytest.approx(first[3:4], abs=1e-6)


def test_what_changes_a_vector_changes_its_key(photos: Path) -> None:
    encoder, files = Mean(), sorted(photos.iterdir())
    features.image_features(encoder, files, workers=0)
    features.image_features(other := Mean("mean-2"), files, workers=0)
    assert other.seen == 12
    features.image_features(encoder, files, variant="cpu bf16", workers=0)
    assert encoder.seen == 24
    files[0].write_bytes(files[-1].read_bytes())
    changed = features.image_features(encoder, files, workers=0)
    assert encoder.seen == 24 + 5  # only the first shard
    assert changed[0] == pytest.approx(changed[-1])
    features.image_features(encoder, [*files, files[0]], workers=0)
    assert encoder.seen == 29 + 3  # only the shard that grew


def test_an_interruption_keeps_what_is_finished(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, files = Mean(), sorted(photos.iterdir())
    encode = encoder.encode_images

    def interrupted(images: Any) -> NDArray[np.float32]:
        if encoder.seen == 8:
            raise KeyboardInterrupt
        return encode(images)

    monkeypatch.setattr(encoder, "encode_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        features.image_features(encoder, files, batch_size=1, workers=0)
    monkeypatch.undo()
    monkeypatch.setenv("VRETR_HOME", str(photos.parent / "home"))
    monkeypatch.setattr(features, "SHARD", 5)
    features.image_features(encoder, files, workers=0)
    assert encoder.seen == 8 + 7  # the five of the first shard were not encoded again
    assert [path.suffix for path in (paths.home() / "features").iterdir()] == [".npy"] * 3


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY nonsense", None])
def test_a_damaged_file_is_made_anew(
    photos: Path, caplog: pytest.LogCaptureFixture, damage: bytes | None
) -> None:
    encoder, files = Mean(), sorted(photos.iterdir())[:3]
    good = features.image_features(encoder, files, workers=0)
    (cached,) = (paths.home() / "features").iterdir()
    if damage is None:
        np.save(cached, np.zeros((2, 2)))
    else:
        cached.write_bytes(damage)
    assert features.image_features(encoder, files, workers=0).tobytes() == good.tobytes()
    assert "damaged" in caplog.text and encoder.seen == 6
    features.image_features(encoder, files, workers=0)
    assert encoder.seen == 6


def test_unreadable_pictures_are_refused_by_name(photos: Path) -> None:
    (photos / "red_line.jpg").write_bytes(b"no picture")
    with pytest.raises(MismatchError, match=r"2 pictures cannot be read: .*red_line.jpg \(.*gone"):
        features.image_features(Mean(), [photos / "red_line.jpg", photos / "gone.jpg"], workers=0)
    assert list((paths.home() / "features").iterdir()) == []


def test_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Mean()
    texts = ["a", "bb", "a", "\udce9", "빨간", "ab", "c"]
    found = features.text_features(encoder, texts)
    assert found.shape == (7, 3) and found[0] == pytest.approx(found[2])
    features.text_features(encoder, texts)
    assert encoder.seen == 7
    features.text_features(encoder, ["xy", "z"])
    features.text_features(encoder, ["x", "yz"])  # not the same two texts
    assert encoder.seen == 11
    assert features.text_features(encoder, []).shape == (0, 3)


class Long(Mean):
    """Tells lengths as well: that of the mean colour."""

    def project_images(self, images: Any) -> NDArray[np.float32]:
        self.seen += len(images)
        return np.asarray(images).mean(axis=(2, 3)).astype(np.float32)


def test_lengths_are_kept_apart(photos: Path) -> None:
    encoder, files = Long(), [str(path) for path in sorted(photos.iterdir())]
    units = features.image_features(encoder, files, workers=0)
    raw = features.image_features(encoder, files, raw=True, workers=0)
    assert encoder.seen == 24 and raw.max() > 1
    assert unit(raw) == pytest.approx(units, abs=1e-6)
    again = features.image_features(encoder, files, raw=True, workers=0)
    assert encoder.seen == 24 and again.tobytes() == raw.tobytes()
    with pytest.raises(UsageError, match="mean does not tell how long"):
        features.image_features(Mean(), files, raw=True)


def test_another_preprocessing_and_regions_have_vectors_of_their_own(photos: Path) -> None:
    encoder, file = Mean(), str(photos / "red_square.jpg")
    whole = features.image_features(encoder, [file], workers=0)
    padded = features.image_features(
        encoder, [file], preprocessing=encoder.preprocessing.target_padded(), workers=0
    )
    inner, outer = (images.Region(file, (60, 40, 40, 40), dilation) for dilation in (0, 9))
    parts = features.image_features(encoder, [inner, outer], workers=0)
    assert encoder.seen == 4
    assert parts[0] == pytest.approx([1, 0, 0], abs=0.02)  # nothing but the red
    assert not np.allclose(whole, padded) and not np.allclose(whole, parts[1])
    features.image_features(encoder, [inner, outer], workers=0)
    assert encoder.seen == 4


def test_a_relative_name_and_a_path_are_the_same_picture(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Mean()
    features.image_features(encoder, [photos / "red_line.jpg"], workers=0)
    monkeypatch.chdir(photos)
    features.image_features(encoder, ["red_line.jpg"], workers=0)
    assert encoder.seen == 1
