import os
import zipfile
from pathlib import Path

import pytest

from vretr import paths
from vretr.data import sources
from vretr.errors import MismatchError, VretrError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


def make_zip(file: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert sources.folder_of(tmp_path) == tmp_path


def test_a_zip_is_unpacked_once_for_each_of_its_states(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "data.zip", {"in/a.txt": "1", "b.txt": "2"})
    folder = sources.folder_of(archive)
    assert (folder / "in/a.txt").read_text() == "1"
    assert sources.folder_of(archive / "in") == folder / "in"
    (folder / "b.txt").write_text("seen")
    assert (sources.folder_of(archive) / "b.txt").read_text() == "seen"
    os.utime(make_zip(archive, {"b.txt": "3"}), ns=(1, 1))
    assert (sources.folder_of(archive) / "b.txt").read_text() == "3"
    left = [path for path in (paths.home() / "unpacked").iterdir() if path.name.startswith(".")]
    assert left == []


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "in/../../evil.txt", "..\\evil.txt"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "data.zip", {"good.txt": "1", name: "2"})
    with pytest.raises(VretrError, match="outside the folder"):
        sources.folder_of(archive)
    assert not list(tmp_path.rglob("evil*")) and not list(tmp_path.rglob("good*"))


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(VretrError, match="is a link"):
        sources.folder_of(tmp_path / "data.zip")


def test_what_does_not_fit_on_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "data.zip", {"a": "x" * 2_000_000})
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(sources.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(VretrError, match="2 MB unpacked, and 1 MB"):
        sources.folder_of(archive)


def test_damaged_zip_missing_folder_and_missing_inner_folder(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    with pytest.raises(VretrError, match="damaged"):
        sources.folder_of(tmp_path / "bad.zip")
    archive = make_zip(tmp_path / "cut.zip", {"a": "x" * 1000})
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"x" * 1000, b"y" * 1000))
    with pytest.raises(VretrError, match="damaged"):
        sources.folder_of(archive)
    with pytest.raises(MismatchError, match="no folder and no zip"):
        sources.folder_of(tmp_path / "nowhere")
    good = make_zip(tmp_path / "good.zip", {"a": ""})
    with pytest.raises(MismatchError, match="holds no folder dev"):
        sources.folder_of(good / "dev")


def test_all_malformed_lines_are_counted_and_the_first_named(tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    table.write_bytes(b'{"a": 1}\n\n[1]\n{"a"\n\xff\n' + b"x\n" * 4)
    found = sources.rows(table)
    assert next(found) == (1, {"a": 1})
    with pytest.raises(MismatchError) as caught:
        list(found)
    told = str(caught.value)
    assert "7 malformed" in told and "and 2 more" in told
    assert "line 3: not an object" in told and "line 4: " in told and "line 9" not in told
