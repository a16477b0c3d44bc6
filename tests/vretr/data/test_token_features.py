"""Token states on disk: encoded once, kept in half precision, made anew where damaged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.vretr.data.test_features import Mean
from vretr.data import features, token_features
from vretr.errors import UsageError
from vretr.paths import home


class Letters(Mean):
    """Three tokens of two numbers: the text's length, and where in it we are."""

    token_states_width = 2

    def token_states(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += len(texts)
        rows = [[(len(text), place) for place in range(3)] for text in texts]
        return np.array(rows, np.float32).reshape(-1, 3, 2)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    for module in (features, token_features):
        monkeypatch.setattr(module, "SHARD", 5)


TEXTS = ["x" * number for number in range(12)]


def test_texts_are_read_once_and_any_rows_come_back() -> None:
    encoder = Letters()
    found = token_features.token_features(encoder, TEXTS)
    rows = np.array([11, 0, 4, 5, 5])
    assert found[rows].dtype == np.float32
    np.testing.assert_array_equal(found[rows], Letters().token_states([TEXTS[n] for n in rows]))
    assert len(found) == len(TEXTS) == encoder.seen
    again = token_features.token_features(encoder, TEXTS)
    assert encoder.seen == len(TEXTS) and len(again) == len(TEXTS)
    token_features.token_features(encoder, TEXTS, variant="cpu bf16")
    assert encoder.seen == 2 * len(TEXTS)


def test_a_damaged_file_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Letters()
    token_features.token_features(encoder, TEXTS[:5])
    (file,) = (home() / "features").iterdir()
    for content in (file.read_bytes()[:-1], b"nonsense"):
        file.write_bytes(content)
        encoder.seen = 0
        found = token_features.token_features(encoder, TEXTS[:5])
        assert encoder.seen == 5 and found[np.array([4])][0, 0, 0] == 4
    assert caplog.text.count("is damaged") == 2


def test_an_encoder_without_states_is_refused() -> None:
    with pytest.raises(UsageError, match="mean does not tell"):
        token_features.token_features(Mean(), TEXTS)
