"""Splits and forms: what is written is what others read, and no photo is on two sides."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from compodiff.build_config import BuildConfig
from compodiff.build_triplets import build_triplets
from compodiff.building import shards, splitting, tables
from compodiff.building.rows import row, targets_of
from compodiff.building.splitting import Components
from tests.compodiff.build_stub import config, lines, paint, write
from vretr.data.cir import cirr
from vretr.errors import MismatchError, VretrError

COLOUR: dict[str, Any] = {"change": ("colour",), "same": ("kind",)}


def made(reference: str, *targets: str) -> dict[str, object]:
    return row(reference=reference, targets=targets, text="x", source="mine", seed=0)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    rows = []
    for number, (kind, colour) in enumerate(itertools.product("abcd", ("red", "blue", "green"))):
        folder = tmp_path / "shop" / kind
        paint(folder / f"{colour}.png", colour, 5 * number)
        rows.append({"file_name": f"{kind}/{colour}.png", "colour": colour, "kind": kind})
    write(tmp_path / "shop" / "labels.jsonl", *rows)
    return tmp_path / "shop"


def test_components_against_a_search() -> None:
    draw = random.Random(0)
    edges = [(f"p{draw.randrange(90)}", f"p{draw.randrange(90)}") for _ in range(50)]
    found = Components()
    for edge in edges:
        found.join(edge)
    near: dict[str, set[str]] = {}
    for a, b in edges:
        near.setdefault(a, {a}).add(b)
        near.setdefault(b, {b}).add(a)
    for photo in near:
        reached, waiting = {photo}, [photo]
        while waiting:
            new = near[waiting.pop()] - reached
            reached |= new
            waiting += new
        assert {other for other in near if found.root(other) == found.root(photo)} == reached
        assert found.root(photo) == min(reached)


def test_shares_are_kept(tmp_path: Path) -> None:
    draw = random.Random(1)
    numbers = [number for number in range(400) for _ in range(2)]
    rows = [made(f"{n}-{draw.randrange(4)}", f"{n}-x", f"{n}-y") for n in numbers]
    found = [*splitting.by_components(rows, tmp_path, val=0.1, test=0.2, seed=0)]
    assert [each["id"] for each in found] == [each["id"] for each in rows]
    sides: dict[str, set[str]] = {}
    for each in found:
        sides.setdefault(each["split"], set()).update([each["reference"], *targets_of(each)])
    assert not any(a & b for a, b in itertools.combinations(sides.values(), 2))
    total = sum(map(len, sides.values()))
    assert len(sides["val"]) / total == pytest.approx(0.1, abs=0.01)
    assert len(sides["test"]) / total == pytest.approx(0.2, abs=0.01)
    assert not [*tmp_path.iterdir()]


def test_each_photo_drawn() -> None:
    photos = [f"{number}.jpg" for number in range(300)]
    rows = [made(photos[n], photos[n - 1], photos[n - 2]) for n in range(300)]
    rejected: Counter[str] = Counter()
    found = [*splitting.by_photos(rows, val=0.3, test=0.2, seed=0, rejected=rejected)]
    split: dict[str, str] = {}
    for each in found:
        for name in (each["reference"], *targets_of(each)):
            assert split.setdefault(name, each["split"]) == each["split"]
    kept = sum(len(targets_of(each)) for each in found)
    assert rejected["photo of another split"] == 600 - kept > 100
    assert {"train", "val", "test"} == {*split.values()}


def test_parquet(shop: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    for form in ("jsonl", "parquet"):
        build_triplets(config(shop, "folder", tmp_path / "out", **COLOUR, val=0.3, format=form))
    for name in ("triplets", "triplets-val"):
        plain = lines(tmp_path / "out" / f"{name}.jsonl")
        table = pyarrow.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        assert len(plain) == len(table) > 0
        for one, other in zip(plain, table, strict=True):
            assert other["targets"] == targets_of(one) and other["text"] == one["text"]
            assert json.loads(other["edit"]) == one["edit"]
            assert other["reference_caption"] is None and other["seed"] == 0


def test_webdataset(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows, with the pictures to the last byte; equal runs give equal shards."""
    monkeypatch.setattr(shards, "SHARD", 7)
    plain, out = tmp_path / "plain", tmp_path / "out"
    build_triplets(config(shop, "folder", plain, **COLOUR, val=0.3))
    for folder in (out, tmp_path / "again"):
        build_triplets(config(shop, "folder", folder, **COLOUR, val=0.3, format="webdataset"))
    for name in ("triplets", "triplets-val"):
        expected, found = lines(plain / f"{name}.jsonl"), []
        files = sorted(out.glob(f"{name}-[0-9]*.tar"))
        assert len(files) == -(-len(expected) // 7)
        for file in files:
            assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()
            found += [row for _, row in tables.rows(file)]
        assert len(found) == len(expected)
        for one, other in zip(expected, found, strict=True):
            assert one == {key: other[key] for key in one}
            assert other["reference.png"] == (plain / one["reference"]).read_bytes()
            assert other["target.png"] == (plain / targets_of(one)[0]).read_bytes()
    with pytest.raises(MismatchError, match="shards of an earlier run"):
        build_triplets(config(shop, "folder", out, **COLOUR, format="webdataset"))


def test_shards_are_imported_again(shop: Path, tmp_path: Path) -> None:
    build_triplets(config(shop, "folder", tmp_path / "out", **COLOUR, format="webdataset"))
    columns = "reference=reference.png,target=target.png"
    shard = tmp_path / "out" / "triplets-000000.tar"
    build_triplets(config(shard, "import", tmp_path / "back", columns=columns))
    before = [row for _, row in tables.rows(shard)]
    after = lines(tmp_path / "back" / "triplets.jsonl")
    assert len(before) == len(after) > 0
    for one, other in zip(before, after, strict=True):
        assert one["text"] == other["text"]
        assert one["target.png"] == (tmp_path / "back" / other["target"]).read_bytes()


def test_a_stopped_run_leaves_no_half_shard(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    with (
        pytest.raises(MismatchError, match=r"b\.png cannot be read"),
        shards.WebDataset(tmp_path, "triplets") as writer,
    ):
        writer.put({**made("a.png", "a.png"), "split": "train"})
        writer.put({**made("a.png", "b.png"), "split": "train"})
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_cirr_as_our_own_reader_takes_it(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_triplets(config(shop, "folder", out, **COLOUR, format="cirr", val=0.5))
    benchmark = cirr.load(out, "val")
    assert len(benchmark.queries) == 12 and len(benchmark.pictures) == 6
    for query in benchmark.queries:
        reference = Path(str(benchmark.pictures[query.reference]))
        target = Path(str(benchmark.pictures[query.targets[0]]))
        assert reference.is_file() and target.is_file()
        assert reference.parent == target.parent and target.stem in query.texts[0]
        assert len({*query.members}) == 6
    with pytest.raises(MismatchError, match="has 3 pictures, and a set of CIRR has 6"):
        build_triplets(config(shop, "folder", tmp_path / "less", **COLOUR, format="cirr", limit=3))


def test_fashioniq(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_triplets(config(shop, "folder", out, format="fashioniq"))
    listed = json.loads((out / "image_splits" / "split.triplets.train.json").read_text())
    entries = json.loads((out / "captions" / "cap.triplets.train.json").read_text())
    assert len(listed) == 12 and len({*listed}) == 12 and len(entries) == 60
    for entry in entries:
        assert {entry["candidate"], entry["target"]} <= {*listed} and len(entry["captions"]) == 2
    assert sum(a != b for a, b in (entry["captions"] for entry in entries)) > 40
    pictures = {path.stem: path.read_bytes() for path in (out / "images").iterdir()}
    assert set(pictures) == {*listed} and len({*pictures.values()}) == 12


def test_words_alone_have_no_such_form(tmp_path: Path) -> None:
    file = tmp_path / "c.txt"
    file.write_text("a red dog\n")
    with pytest.raises(MismatchError, match="have no pictures, and --format cirr has"):
        build_triplets(config(file, "captions", tmp_path / "out", format="cirr"))


def test_nothing_is_lost_when_it_fails(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_triplets(config(shop, "folder", out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (shop / "a" / "red.png").write_bytes(b"")
    with pytest.raises(MismatchError, match="cannot be read"):
        build_triplets(config(shop, "folder", out))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_folder_that_cannot_be_written_to(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(VretrError, match=r"file/out cannot be written to: Not a directory\."):
        build_triplets(config(shop, "folder", tmp_path / "file" / "out"))


def test_from_is_spelled_as_one_would(tmp_path: Path) -> None:
    """`from` is no name in Python: the option and its line in a config file are yet called so."""
    from cli.lazy import command_of
    from cli.options import function_of

    got: list[BuildConfig] = []
    command = command_of(function_of(BuildConfig, lambda made, _: got.append(made)), name="toy")
    file = tmp_path / "c.toml"
    file.write_text('from = "captions"\nout = "o"\nsim-band = [0.4, 0.8]\nencoder = "lite"\n')
    command.main(["x.txt", "--config", str(file)], standalone_mode=False)
    command.main(["x.txt", "--from", "folder", "--out", "p"], standalone_mode=False)
    assert [each.from_ for each in got] == ["captions", "folder"]
    assert [each.out for each in got] == [Path("o"), Path("p")]
    assert got[0].sim_band == (0.4, 0.8)
