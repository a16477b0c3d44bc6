"""The sets as they are distributed, folders of labelled photos, and what is wrong with them."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from metric.layouts import load
from tests.metric import sets
from tests.metric.sets import MAKE, photo
from vretr.data.labelled import Labelled
from vretr.errors import MismatchError, UsageError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def named(data: Labelled) -> list[tuple[str, str]]:
    return [
        (path.name, data.names[label]) for path, label in zip(data.paths, data.labels, strict=True)
    ]


def test_cub(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    MAKE["cub"](root)
    with caplog.at_level(logging.WARNING):
        data = load("cub", root=root)
    assert "6 / 3 / 4 / 2 photos and classes by part here, not 5,864 / 100 / 5,924" in caplog.text
    assert data.train.names == ["1", "2", "100"] and data.test.names == ["101", "200"]
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.labels.tolist() == [0, 0, 1, 1] and data.gallery is None
    assert named(data.train)[1] == ("Bird 1.jpg", "1")
    assert load("cub", root=root / "CUB_200_2011").train.paths == data.train.paths


@pytest.mark.parametrize(
    "make", [sets.cars_text, sets.cars_tables, sets.cars_matrix, sets.cars_matrices]
)
def test_cars(root: Path, make: Callable[[Path], None]) -> None:
    """Split by class, whatever the flags say, in each of its forms."""
    make(root)
    data = load("cars", root=root)
    assert data.train.names == ["1", "98"] and data.test.names == ["99", "196"]
    assert sorted(data.train.labels.tolist()) == sorted(data.test.labels.tolist()) == [0, 0, 1, 1]
    assert all(path.is_file() for path in [*data.train.paths, *data.test.paths])
    assert len({*data.train.paths, *data.test.paths}) == 8


def test_cars_with_a_header(root: Path) -> None:
    sets.cars_tables(root)
    for part in ("train", "test"):
        table = root / f"anno_{part}.csv"
        table.write_text("name,x1,y1,x2,y2,class\n" + table.read_text())
    assert len(load("cars", root=root).train.paths) == 4


def test_sop(root: Path) -> None:
    MAKE["sop"](root)
    data = load("sop", root=root)
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.names == ["11319", "11320"]


def test_inshop(root: Path) -> None:
    MAKE["inshop"](root)
    data = load("inshop", root=root)
    assert data.gallery is not None
    assert data.train.names == ["id_00000001", "id_00000002"] and len(data.train.paths) == 6
    names = ["id_00000007", "id_00000008", "id_00000009"]
    assert data.test.names == data.gallery.names == names
    assert data.test.labels.tolist() == [0, 1, 2] and data.gallery.labels.tolist() == [0, 0, 1, 1]


def test_a_set_in_a_zip(root: Path, tmp_path: Path) -> None:
    MAKE["sop"](root)
    with ZipFile(tmp_path / "sop.zip", "w") as file:
        for path in root.rglob("*"):
            file.write(path, path.relative_to(root))
    assert len(load("sop", root=tmp_path / "sop.zip").test.paths) == 6


@pytest.mark.parametrize(
    ("name", "gone", "sentence"),
    [
        ("cub", "CUB_200_2011/images.txt", "holds no images.txt and no CUB_200_2011/images.txt"),
        ("cub", "CUB_200_2011/image_class_labels.txt", "has no image_class_labels.txt"),
        ("cub", "CUB_200_2011/images/002.Bird/Bird 1.jpg", r"1 pictures missing: .*Bird 1.jpg"),
        ("cars", "cars_annos.txt", r"no CARS196: it holds none of cars_annos.txt, anno_train.csv"),
        ("sop", "Stanford_Online_Products/Ebay_test.txt", "has no Ebay_test.txt"),
        ("inshop", "Eval/list_eval_partition.txt", "no In-Shop: it holds no Eval/list_eval"),
    ],
)
def test_what_is_missing(name: str, gone: str, sentence: str, root: Path) -> None:
    MAKE[name](root)
    (root / gone).unlink()
    with pytest.raises(MismatchError, match=sentence):
        load(name, root=root)


@pytest.mark.parametrize(
    ("name", "file", "line", "sentence"),
    [
        ("cub", "CUB_200_2011/images.txt", "99 x.jpg", "1 pictures without a class: x.jpg"),
        ("cub", "CUB_200_2011/images.txt", "99", "1 lines that have not 2 columns: line 11"),
        ("cars", "cars_annos.txt", "car_ims/1.jpg,one,0", "1 pictures whose class is no number"),
        ("sop", "Stanford_Online_Products/Ebay_test.txt", "1 2", "not 4 columns: line 8"),
        ("inshop", "Eval/list_eval_partition.txt", "a b val", "neither train nor query nor"),
    ],
)
def test_what_is_malformed(name: str, file: str, line: str, sentence: str, root: Path) -> None:
    MAKE[name](root)
    with (root / file).open("a") as text:
        text.write(line + "\n")
    with pytest.raises(MismatchError, match=sentence):
        load(name, root=root)


def test_a_matrix_that_is_none(root: Path) -> None:
    (root / "cars_annos.mat").write_bytes(b"no matrix, but long enough to be looked at" * 9)
    with pytest.raises(MismatchError, match="not as CARS196 has it"):
        load("cars", root=root)
    shutil.rmtree(root)
    sets.cars_matrices(root)
    (root / "devkit" / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(MismatchError, match=r"not whole: there is no .*annos_withlabels.mat"):
        load("cars", root=root)


def test_names_and_roots() -> None:
    with pytest.raises(UsageError, match="cub needs --root"):
        load("cub")
    with pytest.raises(UsageError, match="--root belongs to cub, cars, sop, inshop"):
        load("photos", root=Path("photos"))
    with pytest.raises(MismatchError, match="no folder and no zip nowhere"):
        load("sop", root=Path("nowhere"))


def folders(root: Path, **sizes: int) -> Path:
    for number, (name, size) in enumerate(sizes.items()):
        (root / name).mkdir(parents=True)
        for place in range(size):
            photo(root / name / f"{place}.png", number)
    return root


def test_class_folders_are_split_by_class(root: Path) -> None:
    folders(root, a=2, b=3, c=2, d=4, e=1, f=2)
    (root / "a" / "._0.png").write_bytes(b"\0")
    data = load(str(root), test_classes=0.4)
    assert len(data.test.names) == 2 and "e" in data.train.names
    assert {*data.train.names} | {*data.test.names} == {*"abcdef"}
    assert len(data.train.paths) + len(data.test.paths) == 14
    assert data.settings == {"classes_by": "draw", "test_classes": 0.4, "split_seed": 0}
    assert load(str(root), test_classes=0.4).test.paths == data.test.paths


def test_empty_folders_and_too_few_classes(root: Path) -> None:
    with pytest.raises(MismatchError, match="no labelled photo"):
        load(str(root))
    folders(root, a=2, b=2, empty=0)
    with pytest.raises(MismatchError, match=r"out of 2 classes.*each side needs 2 classes"):
        load(str(root))


def test_folders_train_and_test(root: Path) -> None:
    folders(root / "train", a=2, b=2)
    folders(root / "test", c=2, d=1)
    data = load(str(root))
    assert (data.train.names, data.test.names) == (["a", "b"], ["c", "d"])
    assert data.settings == {"classes_by": "own split"}
    shutil.rmtree(root / "test" / "c")
    shutil.rmtree(root / "test" / "d")
    with pytest.raises(MismatchError, match="no labelled photo in the split 'test'"):
        load(str(root))


def test_parts_that_share_classes(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Tested classes show the test part's photos, the others the train part's."""
    rows = []
    for label in range(8):
        for place in range(4):
            name = f"{label}_{place}.png"
            photo(root / name, label)
            split = "train" if place < 2 else "test"
            rows.append({"file_name": name, "kind": "thing", "label": label, "split": split})
    (root / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with caplog.at_level(logging.WARNING):
        data = load(str(root), label_field="kind+label", seed=5)
    assert "share 8 classes: a share of 0.5 of the classes is tested" in caplog.text
    assert len(data.train.names) == len(data.test.names) == 4
    assert not {*data.train.names} & {*data.test.names}
    assert {path.stem[-1] for path in data.train.paths} == {"0", "1"}
    assert {path.stem[-1] for path in data.test.paths} == {"2", "3"}
    assert data.train.names[0].startswith("thing ")
    shared = load(str(root), allow_shared_classes=True)
    assert shared.train.names == shared.test.names and shared.settings["shared_classes"] == 8


def test_grocery(shared_data: Path) -> None:
    data = load(str(shared_data / "grocery.zip"))
    assert (len(data.train.paths), len(data.train.names)) == (820, 41)
    assert (len(data.test.paths), len(data.test.names)) == (800, 40)
    assert np.bincount(data.test.labels).tolist() == [20] * 40
