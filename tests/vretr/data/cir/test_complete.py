"""Benchmarks of which a part is missing: refused, or measured and said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vretr.data.cir import tiny
from vretr.data.cir import circo, cirr, fashioniq, genecis
from vretr.data.cir.benchmark import Benchmark
from vretr.data.cir.complete import complete, sizes
from vretr.errors import MismatchError


def whole_of(benchmark: Benchmark) -> Benchmark:
    """As if the benchmark were of the size that it has here."""
    return replace(benchmark, sizes=sizes(benchmark, benchmark.sizes))


def names(benchmark: Benchmark, numbers: Any) -> list[str]:
    return [benchmark.name_of(number) for number in np.atleast_1d(numbers).tolist()]


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    root = tiny.circo(tmp_path / "circo")
    with pytest.raises(
        MismatchError,
        match=r"CIRCO val is not whole: 6 queries in 60 .*not 220 in 123,403. --allow-",
    ):
        complete(circo.load(root, "val"))
    root = tiny.fashioniq(tmp_path / "fashioniq")
    with pytest.raises(
        MismatchError, match=r"dress: 1 queries in 14 pictures, not 2,017 in 3,817;"
    ):
        complete(fashioniq.load(root, "val"))


def test_one_gallery_of_another_size_is_noticed(tmp_path: Path) -> None:
    root = tiny.genecis(tmp_path)
    file = root / "genecis/focus_object.json"
    (query,) = json.loads(file.read_bytes())
    for gallery, size in ((query["gallery"][:1], 2), (query["gallery"] * 2, 5)):
        tiny.write(file, [query, query, query | {"gallery": gallery}])
        tasks = genecis.load(root, tasks=["focus_object"])
        tasks = replace(tasks, sizes={"focus_object": sizes(tasks, [""])[""]._replace(gallery=3)})
        with pytest.raises(MismatchError, match=f"3 queries in {size} pictures, not 3 in 3"):
            complete(tasks)


def test_missing_pictures_are_named_and_counted(tmp_path: Path) -> None:
    root = tiny.circo(tmp_path)
    whole = whole_of(circo.load(root, "val"))
    photos = sorted((root / "COCO2017_unlabeled/unlabeled2017").iterdir())
    for photo in photos[-7:]:
        photo.unlink()
    with pytest.raises(
        MismatchError, match=r"lacks 7 pictures: .*153.jpg; .*154.*157.jpg; and 2 more. --allow-"
    ):
        complete(whole)


def test_what_is_left_of_circo(tmp_path: Path) -> None:
    root = tiny.circo(tmp_path)
    photos = root / "COCO2017_unlabeled/unlabeled2017"
    (photos / f"{159:012d}.jpg").unlink()  # red like 102, one of the 20 answers of two queries
    whole = circo.load(root, "val")
    left = complete(whole, allow_missing=True)
    assert left.settings["queries_lost"] == 216 and left.settings["gallery_lost"] == 123_403 - 59
    kept = [query.id for query in whole.queries if query.texts != ("is red",)]
    assert [query.id for query in left.queries] == kept and len(kept) == 4
    for query in left.queries:
        before = next(each for each in whole.queries if each.id == query.id)
        for name in ("targets", "reference"):
            now, then = getattr(query, name), getattr(before, name)
            assert names(left, now) == names(whole, then)
    assert complete(whole_of(left)).settings == left.settings
    for photo in photos.iterdir():
        photo.unlink()
    with pytest.raises(MismatchError, match="CIRCO val has no query whose pictures are there"):
        complete(whole, allow_missing=True)


def test_a_target_outside_of_the_gallery_loses_its_query(tmp_path: Path) -> None:
    root = tiny.circo(tmp_path)
    file = root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
    images = json.loads(file.read_bytes())["images"]
    tiny.write(file, {"images": images[:-1]})
    benchmark = circo.load(root, "val")
    assert len(complete(benchmark, allow_missing=True).queries) == 4
    with pytest.raises(MismatchError, match="2 queries whose target is not in the gallery, the fi"):
        complete(whole_of(benchmark))


def test_a_gallery_of_a_querys_own_is_whole_or_the_query_is_lost(tmp_path: Path) -> None:
    root = tiny.genecis(tmp_path)
    (root / f"coco_val2017/{13:012d}.jpg").unlink()
    left = complete(genecis.load(root), allow_missing=True)
    assert [query.groups for query in left.queries] == [("focus_attribute",), ("change_attribute",)]
    assert "gallery_lost" not in left.settings
    root = tiny.cirr(tmp_path / "cirr")
    (root / "dev/dev-5-0-img0.png").unlink()
    left = complete(cirr.load(root, "val"), allow_missing=True)
    assert len(left.queries) == 9 and len(left.queries[0].gallery) == 59
    assert names(left, left.queries[0].members) == [f"dev-{n}-0-img0" for n in range(6, 12)]
