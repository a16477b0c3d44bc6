"""Which heads a name means, and that their terms are told once."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from vretr.encoders import load_encoder
from vretr.encoders.lite import terms
from vretr.encoders.lite.heads import SHIPPED, Heads
from vretr.errors import VretrError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_the_terms_are_told_the_first_time(caplog: pytest.LogCaptureFixture) -> None:
    load_encoder("lite")
    (said,) = warnings(caplog)
    assert "non-commercial" in said and "lite-free" in said
    load_encoder("lite")
    assert len(warnings(caplog)) == 1


def test_a_home_that_cannot_be_written_breaks_nothing(
    caplog: pytest.LogCaptureFixture, home: Path
) -> None:
    home.touch()
    load_encoder("lite")
    assert len(warnings(caplog)) == 1


def test_lite_free_has_heads_of_its_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(terms, "__file__", str(tmp_path / "terms.py"))
    with pytest.raises(VretrError, match=r"lite-free are not here.*heads-free\.safetensors"):
        load_encoder("lite-free")
    (tmp_path / "weights").mkdir()
    heads = Heads.load().tensors
    from safetensors.numpy import save_file

    changed = heads | {"named_weight": np.array(2.0, np.float32)}
    shutil.copy(SHIPPED, tmp_path / "weights")
    save_file(changed, tmp_path / "weights" / "heads-free.safetensors")
    free, lite = load_encoder("lite-free"), load_encoder("lite")
    assert free.name == "lite-free" and free.identity != lite.identity
    assert len(warnings(caplog)) == 1  # lite's


def test_the_heads_of_lite_are_shipped() -> None:
    assert terms.heads("") == SHIPPED
