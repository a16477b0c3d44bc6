import json
from pathlib import Path
from typing import Any

import pytest

from vretr.data import captions
from vretr.errors import MismatchError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines, encoding="utf-8")


def test_a_folder_with_metadata(photos: Path) -> None:
    write(
        photos,
        [
            {"file_name": "red_circle.jpg", "captions": ["a", "b"], "ko": ["가"], "split": "dev"},
            {"file_name": "red_line.jpg", "captions": "one text", "ko": [], "split": "dev"},
            {"file_name": "blue_line.jpg", "captions": ["c", " "], "split": "train"},
        ],
    )
    everything = captions.load(photos)
    assert [photo.captions for photo in everything] == [("a", "b"), ("one text",), ("c",)]
    assert everything[0].path == photos / "red_circle.jpg"
    assert captions.load(photos, split="dev") == everything[:2]
    assert [photo.captions for photo in captions.load(photos, field="ko")] == [("가",)]
    with pytest.raises(MismatchError, match="no photo with a caption in 'captions' in the split"):
        captions.load(photos, split="test")


def test_what_is_wrong_is_named(photos: Path) -> None:
    good = {"file_name": "red_line.jpg", "captions": ["a"]}
    write(photos, [good, {"captions": ["a"]}, good, {"file_name": "red_line.jpg", "captions": 5}])
    with pytest.raises(MismatchError, match=r"2 lines without file_name.*line 2; line 4"):
        captions.load(photos)
    write(photos, [good, {"file_name": "gone.jpg", "captions": ["a"]}])
    with pytest.raises(MismatchError, match=r"1 pictures missing: .*gone.jpg"):
        captions.load(photos)
    (photos / "metadata.jsonl").unlink()
    with pytest.raises(MismatchError, match=r"no metadata.jsonl and no parquet"):
        captions.load(photos)


def test_parquet_with_pictures_inside_or_named(photos: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    red, blue = photos / "red_line.jpg", photos / "blue_line.jpg"
    hub = tmp_path / "hub"
    hub.mkdir()
    inside = [{"bytes": path.read_bytes(), "path": path.name} for path in (red, blue)]
    table = pyarrow.table({"image": inside, "captions": [["a", "b"], ["c"]]})
    parquet.write_table(table, hub / "test-00000-of-00001.parquet")
    found = captions.load(hub)
    assert [photo.path.read_bytes() for photo in found] == [red.read_bytes(), blue.read_bytes()]
    assert [photo.captions for photo in found] == [("a", "b"), ("c",)]
    assert captions.load(hub, split="test") == found
    with pytest.raises(MismatchError, match="in the split 'dev'"):
        captions.load(hub, split="dev")
    with pytest.raises(MismatchError, match="no column text; it has image, captions"):
        captions.load(hub, field="text")

    named = photos / "named.parquet"
    columns = {"file": ["red_line.jpg", "gone.jpg"], "captions": ["a", "b"], "split": ["x", "y"]}
    parquet.write_table(pyarrow.table(columns), named)
    (photo,) = captions.load(named, split="x", image_field="file")
    assert (photo.path, photo.captions) == (red, ("a",))
    with pytest.raises(MismatchError, match=r"row 1: the picture 'gone.jpg' is not there"):
        captions.load(named, image_field="file")
    (photos / "bad.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(MismatchError, match="no parquet file"):
        captions.load(photos / "bad.parquet")


def test_flickr8k_in_its_zip(shared_data: Path) -> None:
    dev = captions.load(shared_data / "flickr8k.zip", split="dev")
    assert len(dev) == 1000 and sum(len(photo.captions) for photo in dev) == 5000
    assert dev[0].captions[2] == "A little boy at a lake watching a duck ."
    korean = captions.load(shared_data / "flickr8k.zip", split="dev", field="captions_ko")
    assert len(korean) == 119
