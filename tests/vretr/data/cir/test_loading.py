"""The four loaders on small sets: layouts, words, files that are wrong."""

import json
import shutil
from pathlib import Path

import pytest

from tests.vretr.data.cir import tiny
from vretr.data.cir import circo, cirr, fashioniq, genecis
from vretr.data.cir.benchmark import Benchmark
from vretr.data.cir.names import TITLES
from vretr.errors import MismatchError, UsageError
from vretr.images import Region

LOAD = {
    "circo": lambda root: circo.load(root, "val"),
    "cirr": lambda root: cirr.load(root, "val"),
    "fashioniq": lambda root: fashioniq.load(root, "val"),
    "genecis": genecis.load,
}
ANNOTATIONS = {
    "circo": "annotations/val.json",
    "cirr": "cirr/captions/cap.rc2.val.json",
    "fashioniq": "captions/cap.shirt.val.json",
    "genecis": "genecis/change_object.json",
}


def pictures_are_there(benchmark: Benchmark) -> bool:
    return all(Path(picture).is_file() for picture in benchmark.pictures)


def test_fashioniqs_words_in_both_orders() -> None:
    assert fashioniq.both_orders(" is shiny.", "fit and flare, ") == (
        "is shiny and fit and flare",
        "fit and flare and is shiny",
    )


@pytest.mark.parametrize("name", LOAD)
def test_a_small_set_is_read(name: str, tmp_path: Path) -> None:
    benchmark = LOAD[name](tiny.MAKE[name](tmp_path))
    assert pictures_are_there(benchmark)
    assert all("green" in text for text in benchmark.queries[-1].texts) or name == "circo"
    assert all(set(each.targets) <= {*each.gallery.tolist()} for each in benchmark.queries)


def test_cirrs_three_layouts(tmp_path: Path) -> None:
    ours = tiny.cirr(tmp_path / "lincir")
    expected = cirr.load(ours, "val")
    official = tmp_path / "official"
    shutil.copytree(ours / "cirr", official / "cirr")
    for folder in ("dev", "test1"):
        shutil.copytree(ours / folder, official / "cirr/img_raw" / folder)
    flat = tmp_path / "pic2word"
    shutil.copytree(ours / "cirr", flat)
    shutil.copytree(ours / "dev", flat / "dev")
    for root in (official, official / "cirr", flat):
        found = cirr.load(root, "val")
        assert pictures_are_there(found)
        assert [Path(p).name for p in found.pictures] == [Path(p).name for p in expected.pictures]


def test_fashioniqs_other_layout_and_endings(tmp_path: Path) -> None:
    root = tiny.fashioniq(tmp_path)
    suffixes = {Path(picture).suffix for picture in LOAD["fashioniq"](root).pictures}
    assert suffixes == {".jpg", ".png", ".jpeg"}
    (root / "captions").rename(root / "json")
    assert len(LOAD["fashioniq"](root).queries) == 3
    few = fashioniq.load(root, "val", gallery="val")
    assert [len(query.gallery) for query in few.queries] == [2, 2, 2]
    assert few.settings["protocol"] == "VAL split"
    with pytest.raises(UsageError, match="never released"):
        fashioniq.load(root, "test")


def test_genecis_regions_and_folders(tmp_path: Path) -> None:
    root = tiny.genecis(tmp_path)
    benchmark = genecis.load(root, tasks=["focus_attribute"], crop="symmetric")
    assert benchmark.pictures[0] == Region(
        str(root / "vg_100k_all/7.jpg"), (48.0, 15.0, 10.0, 10.0), growth="symmetric"
    )
    (root / "VG_100K").mkdir()
    (root / "vg_100k_all").rename(root / "VG_100K_2")
    (root / "coco_val2017").rename(root / "val2017")
    (root / "genecis").rename(tmp_path / "moved")
    for task in (tmp_path / "moved").iterdir():
        task.rename(root / task.name)
    assert pictures_are_there(genecis.load(root))


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name in LOAD for other in LOAD if name != other]
)
def test_annotations_of_another_benchmark(name: str, other: str, tmp_path: Path) -> None:
    root = tiny.MAKE[name](tmp_path / "a")
    wrong = tiny.MAKE[other](tmp_path / "b") / ANNOTATIONS[other]
    shutil.copyfile(wrong, root / ANNOTATIONS[name])
    sentence = f"{ANNOTATIONS[name]} holds annotations of {TITLES[other]}, not of {TITLES[name]}: "
    with pytest.raises(MismatchError, match=f"{sentence}--dataset {other}"):
        LOAD[name](root)


@pytest.mark.parametrize("name", LOAD)
def test_the_folder_of_another_benchmark(name: str, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"is not laid out as .* it has no [\w/.]+json"):
        LOAD[name](tmp_path)
    other = "cirr" if name == "circo" else "circo"
    root = tiny.MAKE[other](tmp_path)
    with pytest.raises(MismatchError, match=f"It looks like {other.upper()}: --dataset {other}"):
        LOAD[name](root)


@pytest.mark.parametrize("name", LOAD)
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[]", "holds no annotations of"),
        (b"[1]", "holds no annotations of"),
        (b'[{"a": 1}]', "a list of objects with"),
    ],
)
def test_no_annotations(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    root = tiny.MAKE[name](tmp_path)
    (root / ANNOTATIONS[name]).write_bytes(content)
    with pytest.raises(MismatchError, match=sentence):
        LOAD[name](root)


@pytest.mark.parametrize(
    ("name", "field", "value", "sentence"),
    [
        ("circo", "gt_img_ids", [101, 101], "names a photo twice"),
        ("circo", "gt_img_ids", "x", "gt_img_ids is 'x', not of type list"),
        ("circo", "gt_img_ids", ["x"], "not a list of type int"),
        ("circo", "target_img_id", 3, "not the first"),
        ("circo", "id", None, "id is None, not of type int"),
        ("cirr", "target_hard", "nobody", "members are not 6"),
        ("cirr", "reference", 7, "not of type str"),
        ("cirr", "img_set", {"members": ["a"]}, "members are not 6"),
        ("fashioniq", "captions", ["one"], "1 captions, not 2"),
        ("fashioniq", "target", "nobody", "target nobody is not in the split"),
        ("genecis", "condition", 3, "not of type str"),
        ("genecis", "target", {"image_id": 3}, "no val_image_id"),
    ],
)
def test_malformed_entries(
    name: str, field: str, value: object, sentence: str, tmp_path: Path
) -> None:
    file = tiny.MAKE[name](tmp_path) / ANNOTATIONS[name]
    entries = json.loads(file.read_bytes())
    tiny.write(file, [entries[0] | {field: value}])
    with pytest.raises(MismatchError, match=f"1 malformed entries: entry 0: .*{sentence}"):
        LOAD[name](tmp_path)


def test_the_test_split_in_place_of_val(tmp_path: Path) -> None:
    root = tiny.circo(tmp_path)
    shutil.copyfile(root / "annotations/test.json", root / "annotations/val.json")
    with pytest.raises(MismatchError, match=r"6 malformed entries: entry 0: no gt_img_ids"):
        circo.load(root, "val")


def test_lists_of_pictures_that_are_none(tmp_path: Path) -> None:
    root = tiny.circo(tmp_path / "circo")
    photos = root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
    one = {"id": 1, "file_name": "1.jpg"}
    for content, sentence in (
        ([], "no list of COCO's"),
        ({"images": [one, one]}, "1 photos twice"),
    ):
        tiny.write(photos, content)
        with pytest.raises(MismatchError, match=sentence):
            circo.load(root, "val")
    photos.unlink()
    with pytest.raises(MismatchError, match=r"It is COCO's own list of the photos"):
        circo.load(root, "val")
    root = tiny.cirr(tmp_path / "cirr")
    tiny.write(root / "cirr/image_splits/split.rc2.val.json", [1])
    with pytest.raises(MismatchError, match="no split of CIRR"):
        cirr.load(root, "val")
    root = tiny.fashioniq(tmp_path / "fashioniq")
    tiny.write(root / "image_splits/split.dress.val.json", {"a": 1})
    with pytest.raises(MismatchError, match="no split of FashionIQ"):
        fashioniq.load(root, "val")
    root = tiny.genecis(tmp_path / "genecis")
    box = {"image_id": 7, "instance_bbox": [1, 2, 3]}
    query = {"reference": box, "target": box, "gallery": [], "condition": "x"}
    tiny.write(root / "genecis/focus_attribute.json", [query])
    with pytest.raises(MismatchError, match="3 numbers, not 4"):
        genecis.load(root)
