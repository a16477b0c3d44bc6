"""Which index is meant."""

from pathlib import Path

import pytest

from vretr.errors import MismatchError
from vretr.index.locate import locate


def make(folder: Path) -> Path:
    index = folder / ".vretr"
    index.mkdir(parents=True)
    (index / "index.sqlite").touch()
    return index


def test_order(tmp_path, monkeypatch):
    named, photos, environment = (make(tmp_path / name) for name in ("named", "photos", "env"))
    above = make(tmp_path)
    start = tmp_path / "photos" / "2024"
    start.mkdir()
    monkeypatch.setenv("VRETR_INDEX", str(environment))
    assert locate(named, tmp_path / "photos", start=start) == named
    assert locate(None, tmp_path / "photos", start=start) == photos
    assert locate(start=start) == environment
    monkeypatch.delenv("VRETR_INDEX")
    assert locate(start=start) == photos
    assert locate(start=tmp_path) == above


def test_folder_of_photos_is_accepted_as_the_index(tmp_path):
    index = make(tmp_path / "photos")
    assert locate(tmp_path / "photos") == index
    (tmp_path / "photos" / "sub").mkdir()
    assert locate(folder=tmp_path / "photos" / "sub") == index


def test_the_one_below(tmp_path):
    index = make(tmp_path / "photos")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".vretr").mkdir()  # nothing was indexed there
    assert locate(start=tmp_path) == index


def test_several_below(tmp_path):
    make(tmp_path / "b b")
    make(tmp_path / "a")
    with pytest.raises(MismatchError, match="--in a\n  --in 'b b'") as error:
        locate(start=tmp_path)
    assert error.value.exit_code == 4


def test_none(tmp_path, monkeypatch):
    with pytest.raises(MismatchError, match="make one with `vretr index FOLDER`"):
        locate(start=tmp_path)
    with pytest.raises(MismatchError, match=r"--index\); make one"):
        locate(tmp_path)
    with pytest.raises(MismatchError, match="no index of"):
        locate(folder=tmp_path)
    monkeypatch.setenv("VRETR_INDEX", str(tmp_path / "gone"))
    with pytest.raises(MismatchError, match="VRETR_INDEX"):
        locate(start=tmp_path)


def test_start_is_the_current_folder(tmp_path, monkeypatch):
    index = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert locate() == index
