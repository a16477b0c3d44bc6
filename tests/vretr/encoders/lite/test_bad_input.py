"""What nobody should ask of `lite` and somebody will: defined, finite, and said once."""

import logging

import numpy as np
import pytest
from PIL import Image

from vretr.encoders.lite import Lite
from vretr.encoders.lite.text_tower import TextTower

PLAIN = ["the of and a", "a café, naïve", "100 % — “quoted” …", "x" * 90, "?!", ""]
UNREAD = [
    "눈 속의 개",
    "собака в снегу",
    "雪の中の犬",
    "كلب في الثلج",
    "😀",
    "a dog 🐕 in the snow",
]


@pytest.fixture(scope="module")
def lite() -> Lite:
    return Lite(device="cpu")


@pytest.mark.parametrize("text", [*PLAIN, *UNREAD, "word " * 2000, "\0\x1b[31m", "\n\t "])
def test_every_text_has_a_vector(lite: Lite, text: str) -> None:
    (vector,) = lite.encode_texts([text])
    assert np.isfinite(vector).all() and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_texts_are_read_in_silence(caplog: pytest.LogCaptureFixture, text: str) -> None:
    TextTower()([text])
    assert not caplog.records


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_hardly_read_is_said_once(caplog: pytest.LogCaptureFixture, text: str) -> None:
    tower = TextTower()
    tower(["a dog", text, *UNREAD])
    tower([text])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert text in record.getMessage() and "knows little" in record.getMessage()


def test_how_much_of_a_long_text_is_read_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tower = TextTower()
    words = [f"w{number}" for number in range(2000)]
    whole = tower([" ".join(words)])
    (record,) = caplog.records
    read = int(record.getMessage().split()[3])
    assert 50 < read < 254 and "of 2,000 words" in record.getMessage()
    np.testing.assert_allclose(tower([" ".join(words[: read + 1])]), whole, atol=1e-6)
    assert np.abs(tower([" ".join(words[: read - 1])]) - whole).max() > 1e-4
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (300, 200)),
        Image.new("RGB", (300, 200), "white"),
        Image.new("L", (1, 3000), 7),
    ],
)
def test_every_picture_has_a_vector(lite: Lite, picture: Image.Image) -> None:
    (vector,) = lite.encode_images([picture.convert("RGB")])
    assert np.isfinite(vector).all() and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
