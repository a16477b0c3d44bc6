"""Triplets mined from photos: those that differ in one thing, all of them, and no others."""

import csv
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest

from compodiff import build_triplets as building
from compodiff.build_triplets import build_triplets
from compodiff.building import caption_edits, keywords, lookalikes, mining, pairing
from compodiff.building.folder import Photos
from compodiff.building.rows import targets_of
from tests.compodiff.build_stub import Colours, config, lines, paint, write
from vretr.data import triplets
from vretr.errors import MismatchError

COLOURS, KINDS, USES = ("red", "green", "blue"), ("bag", "hat"), ("sport", "work")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """24 photos, two of each colour, kind and use; `labels.jsonl` with a number for each."""
    rows = []
    for number, (colour, kind, use, copy) in enumerate(
        itertools.product(COLOURS, KINDS, USES, range(2))
    ):
        name = f"{number:02}.png"
        paint(tmp_path / "shop" / name, colour, 7 * number % 40)
        rows.append(
            {"file_name": name, "colour": colour, "kind": kind, "use": use, "id": str(number)}
            | {"product": f"{colour} {copy}", "split": "test" if number % 12 == 0 else "train"}
        )
    write(tmp_path / "shop" / "labels.jsonl", *rows)
    return tmp_path / "shop"


def labels(shop: Path) -> dict[str, dict[str, str]]:
    return {row["file_name"]: row for row in lines(shop / "labels.jsonl")}


@pytest.mark.parametrize("max_diff", [1, 2])
def test_all_pairs_that_differ_in_one_attribute_and_no_others(
    shop: Path, tmp_path: Path, max_diff: int
) -> None:
    out = tmp_path / "out"
    options = {"apart": ("product",), "max_diff": max_diff, "per_reference": 0}
    build_triplets(config(shop, "folder", out, **options))
    known, attributes = labels(shop), ("colour", "kind", "use")
    found = set()
    for row in lines(out / "triplets.jsonl"):
        edits = row["edit"] if isinstance(row["edit"], list) else [row["edit"]]
        reference = known[Path(row["reference"]).name]
        for name in targets_of(row):
            target = known[Path(name).name]
            differ = [each for each in attributes if reference[each] != target[each]]
            assert [(e["attribute"], e["from"], e["to"]) for e in edits] == [
                (each, reference[each], target[each]) for each in differ
            ]
            assert all(target[each] in row["text"] for each in differ)
            found.add((reference["file_name"], target["file_name"]))
    naive = {
        (a, b)
        for a, b in itertools.permutations(known, 2)
        if 1 <= sum(known[a][each] != known[b][each] for each in attributes) <= max_diff
        and known[a]["product"] != known[b]["product"]
    }
    assert found == naive


def test_the_file_is_what_others_read(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    (told,) = build_triplets(config(shop, "folder", out, change=("colour",), same=("kind", "use")))
    known = triplets.load(out / "triplets.jsonl")
    assert len(known) == told["triplets"] == 48
    assert {len(each.targets) for each in known} == {2}
    report = json.loads((out / "report.json").read_text())
    assert report["triplets"] == 48 and report["kinds"] == {"colour": 48}
    assert report["steps"]["photos"] == 24 and report["targets of several triplets"] == 24
    assert (out / "examples.html").read_text().count("data:image/jpeg") == 24


def test_equal_seeds_equal_files_wherever_they_are(shop: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        options = {"apart": ("product",), "per_reference": 1, "targets": 1, "seed": seed}
        build_triplets(config(shop, "folder", tmp_path / name, **options))
    a, b, c = ((tmp_path / name / "triplets.jsonl").read_bytes() for name in "abc")
    assert a == b != c
    build_triplets(config(shop, "folder", tmp_path / "x" / "y", **options))
    deeper, near = (lines(tmp_path / place / "triplets.jsonl") for place in ("x/y", "c"))
    assert [row["text"] for row in deeper] == [row["text"] for row in near]


@pytest.mark.parametrize("by", ["components", "photos"])
def test_no_photo_is_in_two_splits(shop: Path, tmp_path: Path, by: str) -> None:
    # With kind and use fixed there are four components, of six photos each.
    options = {"change": ("colour",), "same": ("kind", "use"), "hold_out_by": by}
    (told,) = build_triplets(config(shop, "folder", tmp_path, **options, val=0.3, test=0.26))
    files = {"train": "", "val": "-val", "test": "-test"}
    seen: dict[str, set[str]] = {}
    for split, ending in files.items():
        rows = lines(tmp_path / f"triplets{ending}.jsonl")
        assert {row["split"] for row in rows} == {split}
        seen[split] = {name for row in rows for name in (row["reference"], *targets_of(row))}
    assert all(seen.values())
    assert not any(a & b for a, b in itertools.combinations(seen.values(), 2))
    if by == "components":
        assert sorted(map(len, seen.values())) == [6, 6, 12]
    else:
        assert told["rejected"]["photo of another split"] > 0


def test_photos_that_all_hang_together(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_triplets(config(shop, "folder", tmp_path, val=0.2, apart=("product",)))
    assert "24 of 24 photos hang together, so that none is left for val" in caplog.text
    assert not (tmp_path / "triplets-val.jsonl").exists()


def test_near_duplicates_are_dropped(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    paint(shop / "a.png", "#c00000", 3)
    paint(shop / "b.png", "#c20000", 3)  # the same photo, labelled as another colour
    paint(shop / "c.png", "#0000c0", 3)  # the same in blue: what is looked for
    rows = [{"file_name": f"{n}.png", "colour": c, "kind": "x"} for n, c in ("ar", "bs", "ct")]
    write(shop / "labels.jsonl", *rows)
    options = {"change": ("colour",), "same": ("kind",)}
    (told,) = build_triplets(config(shop, "folder", tmp_path / "out", **options))
    assert told["rejected"] == {"pictures too alike": 2}
    pairs = {
        (row["reference"][-5], row["target"][-5]) for row in lines(tmp_path / "out/triplets.jsonl")
    }
    assert pairs == {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}


def test_signatures_see_colours(tmp_path: Path) -> None:
    for name, colour in (("a", "#900000"), ("b", "#940000"), ("c", "#000090")):
        paint(tmp_path / f"{name}.png", colour)
    (tmp_path / "d.png").write_bytes(b"no picture")
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    signature, unreadable = lookalikes.signatures(paths, workers=0)
    assert [each.path for each in unreadable] == paths[3:]
    assert signature.alike(0, np.array([0, 1, 2])).tolist() == [True, True, False]


def test_an_encoder_judges(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(building, "load_encoder", lambda name, device: Colours())
    known = labels(shop)
    known["04.png"]["colour"] = "blue"  # it is red
    write(shop / "labels.jsonl", *known.values())
    out = tmp_path / "out"
    options = {"change": ("colour",), "apart": ("product",), "encoder": "x", "max_img_img": 1.1}
    (told,) = build_triplets(config(shop, "folder", out, **options, min_txt=0.9, min_dir=0.5))
    rows = lines(out / "triplets.jsonl")
    used = {Path(name).name for row in rows for name in (row["reference"], *targets_of(row))}
    assert used == set(known) - {"04.png"}
    reasons = ("nothing changes", "target is not what its words say", "reference is not what")
    assert any(reason.startswith(reasons) for reason in told["rejected"])
    assert min(row["scores"]["dir"] for row in rows) > 0.9
    assert min(row["scores"]["tgt_txt"] for row in rows) > 0.9
    found = json.loads((out / "report.json").read_text())["recall@1"]
    assert found["sum"] >= 0 and found["encoder"] == "colours"


def test_neighbours() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = pairing.neighbours(vectors, 7)
    cosines = vectors @ vectors.T - 9 * np.eye(300)
    for row, near in zip(cosines, found, strict=True):
        assert near.tolist() == sorted(np.argsort(-row)[:7].tolist())
    assert pairing.neighbours(vectors[:3], 50).shape == (3, 2)


def test_captions_that_differ_in_one_place() -> None:
    """Against a second, naive implementation: every pair, every gap."""
    draw = random.Random(3)
    words = ["red", "dog", "cat", "runs", "sits", "snow", "grass", "two", "boys", "big"]
    said = [[" ".join(draw.choices(words, k=draw.choice((5, 6))))] for _ in range(60)]
    said[7] = ["the red dog runs in snow", "two boys runs in snow"]
    found = {
        (each.reference, target, each.edits[0].a, each.edits[0].b)
        for each in caption_edits.by_captions(said, keywords.load(), 0)
        for target in each.targets
    }
    naive = set()
    for a, b in itertools.permutations(range(60), 2):
        for one, other in itertools.product(said[a], said[b]):
            naive |= {(a, b, *change) for change in gaps(one.split(), other.split())}
    assert found == naive


def gaps(one: list[str], other: list[str]) -> set[tuple[str, str]]:
    found = set()
    for place in range(len(one)):
        for mine, yours in itertools.product((1, 2), repeat=2):
            before, after = one[place : place + mine], other[place : place + yours]
            if len(before) != mine or len(after) != yours or before == after:
                continue
            if one[:place] != other[:place] or one[place + mine :] != other[place + yours :]:
                continue
            if min(len(one) - mine, len(other) - yours) < caption_edits.CONTEXT:
                continue
            if mine == yours == 2 and (before[0] == after[0] or before[1] == after[1]):
                continue
            found.add((" ".join(before), " ".join(after)))
    return {(a, b) for a, b in found if caption_edits._core(a) != caption_edits._core(b)}


def test_what_says_little_is_no_change() -> None:
    said = [
        ["a dog is running on the grass"],
        ["a dog runs on the grass"],
        ["a dog runs on a grass"],
    ]
    assert not [*caption_edits.by_captions(said, keywords.load(), 0)]
    said = [["a red dog on the grass"], ["a blue dog on the grass"]]
    (forth, back) = caption_edits.by_captions(said, keywords.load(), 0)
    assert forth.edits[0]._asdict() == {"kind": "colour", "attribute": "", "a": "red", "b": "blue"}
    assert back.edits[0] == forth.edits[0].inverse()


def test_a_captioned_folder(tmp_path: Path) -> None:
    said = ["a red dog in the snow", "a blue dog in the snow", "people", "a blue dog in the snow"]
    for number in range(4):
        paint(tmp_path / f"{number}.png", COLOURS[number % 3], 9 * number)
    write(
        tmp_path / "metadata.jsonl",
        *({"file_name": f"{n}.png", "captions": [text]} for n, text in enumerate(said)),
    )
    build_triplets(config(tmp_path, "folder", tmp_path / "out"))
    rows = lines(tmp_path / "out" / "triplets.jsonl")
    assert [Path(row["reference"]).name for row in rows] == ["0.png", "1.png", "3.png"]
    assert [Path(name).name for name in rows[0]["targets"]] == ["1.png", "3.png"]
    assert rows[0]["target_caption"] == "a blue dog in the snow"


def test_a_table_as_csv_and_folders_of_classes(shop: Path, tmp_path: Path) -> None:
    known = labels(shop)
    (shop / "labels.jsonl").unlink()
    with (shop / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["path", "colour", "kind", "use"], extrasaction="ignore")
        table.writeheader()
        table.writerows({**row, "path": name} for name, row in known.items())
    (told,) = build_triplets(config(shop, "folder", tmp_path / "a", change=("colour",)))
    assert told["triplets"] == 48
    classes = tmp_path / "classes"
    for name, row in known.items():
        (classes / f"{row['colour']}_{row['kind']}").mkdir(parents=True, exist_ok=True)
        (shop / name).rename(classes / f"{row['colour']}_{row['kind']}" / name)
    build_triplets(config(classes, "folder", tmp_path / "b"))
    rows = lines(tmp_path / "b" / "triplets.jsonl")
    assert len(rows) == 24 * 5
    assert rows[0]["edit"] == {
        "kind": "class",
        "attribute": "class",
        "from": "blue bag",
        "to": "blue hat",
    }


def test_labels_that_an_encoder_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(building, "load_encoder", lambda name, device: Colours())
    # Of white the encoder is not sure: it takes every word that it does not know for white.
    for number, colour in enumerate(("red", "blue", "yellow", "white")):
        paint(tmp_path / "shop" / f"{number}.png", colour)
    options = {"encoder": "x", "by": "zero-shot", "groups": ("colour",), "max_img_img": 1.1}
    with pytest.raises(MismatchError, match="sure of no two words"):
        build_triplets(config(tmp_path / "shop", "folder", tmp_path / "out", **options, margin=3.0))
    build_triplets(config(tmp_path / "shop", "folder", tmp_path / "out", **options, margin=0.001))
    rows = lines(tmp_path / "out" / "triplets.jsonl")
    assert {(row["edit"]["from"], row["edit"]["to"]) for row in rows} == {
        *itertools.permutations(("red", "blue", "yellow"), 2)
    }


def test_the_seven_ways_of_bad_input(shop: Path, tmp_path: Path) -> None:
    out, known = tmp_path / "out", labels(shop)

    def fails(match: str, **options: object) -> None:
        with pytest.raises(MismatchError, match=match):
            build_triplets(config(shop, "folder", out, **{"apart": ("id",), **options}))
        assert not [*out.glob("*.jsonl")]

    fails("no column hue; it has file_name, colour, kind, use", change=("hue",))
    fails("no photo that can be used in the split 'val'", split="val")
    fails("has no captions: name their column by --column", by="captions")
    write(shop / "labels.jsonl", *known.values(), {"file_name": "00.png", "colour": "red"})
    fails(r"1 lines without file_name, colour, kind, use, product, id: line 25\.")
    (told,) = build_triplets(config(shop, "folder", tmp_path / "less", allow_missing=True))
    assert told["rejected"]["missing fields"] == 1
    write(shop / "labels.jsonl", *known.values())
    fails("attributes: colour, kind, use, product; choose", change=("colour",))
    (shop / "03.png").rename(tmp_path / "03.png")
    fails(r"1 pictures missing: .*03\.png")
    (told,) = build_triplets(config(shop, "folder", tmp_path / "less", allow_missing=True))
    assert told["rejected"]["photo is missing"] == 1
    (shop / "03.png").write_bytes(b"no picture")
    fails(r"1 pictures cannot be read: .*03\.png")
    (told,) = build_triplets(config(shop, "folder", tmp_path / "less", allow_missing=True))
    assert told["rejected"]["photo cannot be read"] == 1
    write(shop / "labels.jsonl", known["00.png"], known["01.png"] | {"colour": "x", "kind": "y"})
    fails("No two photos differ in one thing alone", change=("colour",), same=("kind",))
    write(shop / "labels.jsonl", {"name": "00.png"})
    fails("has no column file_name or path or image or file; it has name")
    (shop / "labels.jsonl").unlink()
    (shop / "03.png").unlink()
    fails("has no labels and no captions .*--by zero-shot")


def test_columns_that_are_no_attributes_are_named(
    shop: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {**row, "serial": f"n{n}", "shop": "ours"} for n, row in enumerate(labels(shop).values())
    ]
    write(shop / "labels.jsonl", *rows)
    build_triplets(config(shop, "folder", tmp_path / "out", apart=("product",)))
    assert "serial, shop" in caplog.text
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["steps"]["attributes"] == ["colour", "kind", "use"]


def test_no_attribute_at_all() -> None:
    with pytest.raises(MismatchError, match="no attributes"):
        [*mining.by_attributes(Photos([], [], []), change=(), same=(), max_diff=1)]
