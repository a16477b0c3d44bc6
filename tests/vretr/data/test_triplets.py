import json
import os
from pathlib import Path

import pytest

from vretr.data import attribute_triplets, triplets
from vretr.data.attribute_triplets import AttributeTripletsConfig
from vretr.errors import MismatchError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


def write(file: Path, *rows: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_a_file_of_triplets(photos: Path, tmp_path: Path) -> None:
    red, blue, green = (f"{colour}_line.jpg" for colour in ("red", "blue", "green"))
    rows = [
        {"reference": red, "text": "is blue", "targets": [blue]},
        {"reference": red, "text": "is green", "target": green, "gallery": "gallery.txt"},
        {"reference": blue, "text": "is green", "target": green, "gallery": "gallery.txt"},
        {"reference": blue, "text": "is red", "targets": [red], "gallery": [red, "red_circle.jpg"]},
    ]
    (photos / "gallery.txt").write_text(f"{green}\n\n{red}\nblue_circle.jpg\n")
    found = triplets.load(write(photos / "t.jsonl", *rows))
    assert found[0] == triplets.Triplet(photos / red, "is blue", (photos / blue,))
    assert found[1].targets == (photos / green,)
    assert found[1].gallery is found[2].gallery is not None
    assert found[1].gallery.paths == (photos / green, photos / red, photos / "blue_circle.jpg")
    assert triplets.pictures(found) == [
        photos / name for name in (red, blue, green, "blue_circle.jpg", "red_circle.jpg")
    ]
    elsewhere = write(tmp_path / "t.jsonl", *rows)
    assert triplets.load(elsewhere, root=photos)[0] == found[0]


def test_every_malformed_line_is_named(photos: Path) -> None:
    good = {"reference": "red_line.jpg", "text": "x", "targets": ["blue_line.jpg"]}
    bad = [
        ({**good, "reference": None}, "no reference"),
        ({**good, "text": 3}, "no text"),
        ({**good, "targets": []}, "no targets"),
        ({**good, "target": "a"}, "either targets or target"),
        ({**good, "targets": ["a", "a"]}, "twice"),
        ({**good, "targets": [1]}, "not a list of names"),
        ({**good, "gallery": ["red_line.jpg"]}, "target is not in the gallery"),
        ({**good, "gallery": "nowhere.txt"}, "cannot be read"),
    ]
    for row, why in bad:
        with pytest.raises(MismatchError, match=f"1 malformed lines: line 2: .*{why}"):
            triplets.load(write(photos / "t.jsonl", good, row))
    with pytest.raises(MismatchError, match=r"8 malformed lines: line 1.*and 3 more"):
        triplets.load(write(photos / "t.jsonl", *(row for row, _ in bad)))


def test_missing_pictures_are_counted(photos: Path) -> None:
    row = {"reference": "red_line.jpg", "text": "x", "targets": ["gone.jpg", "too.jpg"]}
    with pytest.raises(MismatchError, match=r"2 pictures missing: .*gone.jpg; .*too.jpg"):
        triplets.load(write(photos / "t.jsonl", row, row))
    with pytest.raises(MismatchError, match="has no triplet"):
        triplets.load(write(photos / "t.jsonl"))
    with pytest.raises(MismatchError, match="no file of triplets"):
        triplets.load(photos / "none.jsonl")


def test_changes_keep_all_but_one_attribute() -> None:
    pictures = [
        {"file_name": name, "kind": kind, "colour": colour}
        for name, kind, colour in [
            ("a", "bag", "Red"),
            ("b", "bag", "Blue"),
            ("c", "bag", "Blue"),
            ("d", "hat", "Green"),
            ("e", "bag", "Black"),
        ]
    ]
    assert list(attribute_triplets.changes(pictures, change="colour", same=("kind",))) == [
        ("a", "Black", ["e"]),
        ("a", "Blue", ["b", "c"]),
        ("b", "Black", ["e"]),
        ("b", "Red", ["a"]),
        ("c", "Black", ["e"]),
        ("c", "Red", ["a"]),
        ("e", "Blue", ["b", "c"]),
        ("e", "Red", ["a"]),
    ]


def test_names_that_are_not_utf8(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    photos.rename(folder)
    write(
        folder / "labels.jsonl",
        {"file_name": "red_line.jpg", "colour": "Red", "shape": "line"},
        {"file_name": "blue_line.jpg", "colour": "Blue", "shape": "line"},
    )
    config = AttributeTripletsConfig(source=folder, out=tmp_path / "t.jsonl", same=("shape",))
    attribute_triplets.derive(config)
    first, second = triplets.load(config.out)
    assert (first.text, second.text) == ("is blue", "is red")
    assert first.reference.resolve() == folder / "red_line.jpg"
    assert first.gallery and first.gallery.members >= set(second.targets)


def test_derived_from_fashion(shared_data: Path, tmp_path: Path) -> None:
    config = AttributeTripletsConfig(
        source=shared_data / "fashion.zip", out=tmp_path / "made" / "t.jsonl", split="test"
    )
    (told,) = attribute_triplets.derive(config)
    assert (told["triplets"], told["gallery"], told["references"]) == (23147, 2000, 1939)
    found = triplets.load(config.out)
    assert len(found) == 23147
    assert sum(len(triplet.targets) for triplet in found) == told["targets"]
    assert all(triplet.reference not in triplet.targets for triplet in found)
    assert {triplet.gallery and len(triplet.gallery) for triplet in found} == {2000}
    once = config.out.read_bytes()
    attribute_triplets.derive(config)
    assert config.out.read_bytes() == once


def test_what_cannot_be_derived(photos: Path, tmp_path: Path) -> None:
    rows = [{"file_name": "red_line.jpg", "colour": "Red", "kind": "line"}]
    write(photos / "metadata.jsonl", *rows)

    def derive(**options: object) -> None:
        attribute_triplets.derive(
            AttributeTripletsConfig(
                **{"source": photos, "out": tmp_path / "t.jsonl", "same": ("kind",), **options}  # type: ignore[arg-type]
            )
        )

    with pytest.raises(MismatchError, match="has a like of another value"):
        derive()
    with pytest.raises(MismatchError, match="1 lines without file_name, colour, article_type"):
        derive(same=("article_type",))
    with pytest.raises(ValueError, match=r"must hold {} once"):
        derive(text="is red")
    with pytest.raises(ValueError, match="both change and stay"):
        derive(same=("colour",))
    assert not (tmp_path / "t.jsonl").exists()
