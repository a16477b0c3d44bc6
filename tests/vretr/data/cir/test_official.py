"""The loaders and the figures on the authors' own files: counts, golden values, byte formats."""

import json
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from vretr import metrics
from vretr.data.cir import circo, cirr, fashioniq, genecis
from vretr.data.cir.benchmark import Benchmark
from vretr.data.cir.complete import complete, sizes
from vretr.errors import MismatchError
from vretr.evaluation.scoring import lists, score


@pytest.fixture(scope="module")
def official(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' files unpacked: `official / "cirr"` is a ROOT."""
    folder = tmp_path_factory.mktemp("official")
    archives = sorted((shared_data / "cir_annotations").glob("*.zip"))
    if not archives:
        pytest.skip("the annotations of the benchmarks (cir_annotations/*.zip) are not here")
    for archive in archives:
        with ZipFile(archive) as file:
            file.extractall(folder / archive.stem)
    list_photos(folder / "circo")
    return folder


def list_photos(root: Path) -> None:
    """COCO's list is not among the files: 123,403 photos, those that are named among them."""
    named: set[int] = set()
    for split in ("val", "test"):
        for entry in json.loads((root / f"annotations/{split}.json").read_bytes()):
            named |= {entry["reference_img_id"], *entry.get("gt_img_ids", ())}
        example = json.loads((root / f"submission_examples/submission_{split}.json").read_bytes())
        named |= {photo for photos in example.values() for photo in photos}
    further = (number for number in range(1, 600_000) if number not in named)
    photos = sorted({*named, *(next(further) for _ in range(123_403 - len(named)))})
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in photos]
    file = root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"images": images}))


def whole(benchmark: Benchmark) -> dict[str, tuple[int, int]]:
    """Its sizes, which are those that it should have: only the pictures are missing."""
    with pytest.raises(MismatchError, match=r"lacks [\d,]+ pictures.*--allow-missing"):
        complete(benchmark)
    return dict(sizes(benchmark, benchmark.sizes))


def test_circo(official: Path) -> None:
    val, test = (circo.load(official / "circo", split) for split in ("val", "test"))
    assert whole(val) == {"": (220, 123_403)} and whole(test) == {"": (800, 123_403)}
    assert [len({query.reference for query in each.queries}) for each in (val, test)] == [220, 798]
    right = [len(query.targets) for query in val.queries]
    assert (sum(right), min(right), max(right)) == (916, 1, 14)
    assert not any(query.reference in query.targets for query in val.queries)
    assert Counter(aspect for query in val.queries for aspect in query.groups) == {
        "statement_with_conjunction": 164,
        "direct_addressing": 119,
        "spatial_relations_background": 100,
        "compare_change": 86,
        "addition": 80,
        "viewpoint": 54,
        "comparative_statement": 50,
        "cardinality": 37,
        "negation": 21,
    }
    assert [query.id for query in test.queries] == [str(n) for n in range(800)]
    assert val.queries[0].texts == ("shows two people and has a more colorful background",)
    assert [val.name_of(number) for number in val.queries[0].targets[:2]] == [
        "000000355099",
        "000000528417",
    ]


def test_circos_figures_of_the_authors_example(official: Path) -> None:
    val = circo.load(official / "circo", "val")
    file = official / "circo/submission_examples/submission_val.json"
    example = json.loads(file.read_bytes())
    ranked = [example[query.id] for query in val.queries]
    truths = [{int(val.name_of(n)) for n in query.targets} for query in val.queries]
    first = [{int(val.name_of(query.targets[0]))} for query in val.queries]
    ranks = {
        "truths": metrics.ranks_from_lists(ranked, truths),
        "target": metrics.ranks_from_lists(ranked, first),
    }
    figures = {name: 100 * value for name, value in val.figures(ranks, val.queries).items()}
    assert figures == pytest.approx(
        {
            "map@5": 0.4861111111111111,
            "map@10": 0.5177669552669553,
            "map@25": 0.5400354476441432,
            "map@50": 0.6020391550163255,
            "recall@5": 0.9090909090909091,
            "recall@10": 0.9090909090909091,
            "recall@25": 1.3636363636363635,
            "recall@50": 3.6363636363636362,
            "cardinality_map@10": 0,
            "addition_map@10": 0.08705357142857142,
            "negation_map@10": 0,
            "direct_addressing_map@10": 0.9197012138188607,
            "compare_change_map@10": 0.024224806201550386,
            "comparative_statement_map@10": 1.05,
            "statement_with_conjunction_map@10": 0.6183459156020131,
            "spatial_relations_background_map@10": 0.18075396825396825,
            "viewpoint_map@10": 0.6172839506172839,
        }
    )


def test_circos_submission_is_the_authors_byte_for_byte(official: Path) -> None:
    for split in ("val", "test"):
        benchmark = circo.load(official / "circo", split)
        file = official / f"circo/submission_examples/submission_{split}.json"
        example = json.loads(file.read_bytes())
        names = [[f"{photo:012d}" for photo in photos] for photos in example.values()]
        made = circo.submission(benchmark.queries, {"truths": names})
        assert [*made] == [""] and json.dumps(made[""]).encode() == file.read_bytes()


def test_cirr(official: Path) -> None:
    val, test = (cirr.load(official / "cirr", split) for split in ("val", "test"))
    assert whole(val) == {"": (4181, 2297)} and whole(test) == {"": (4148, 2315)}
    assert [len({query.reference for query in each.queries}) for each in (val, test)] == [
        2165,
        2178,
    ]
    assert len({query.members for query in val.queries}) == 503
    assert (val.split, test.split) == ("val", "test1")
    assert not any(query.targets for query in test.queries)
    assert val.pictures[0] == str(official / "cirr/dev/dev-244-0-img0.png")
    stems = json.loads((official / "cirr/cirr/image_splits/split.rc2.val.json").read_bytes())
    assert [val.name_of(number) for number in range(2297)] == [*stems]


def test_cirrs_submission_is_the_authors_byte_for_byte(official: Path) -> None:
    test = cirr.load(official / "cirr", "test")
    files = {
        "": official / "cirr/demo_files/test1_pred_ranks_recall.json",
        "subset_": official / "cirr/demo_files/test1_pred_ranks_recall_subset.json",
    }
    examples = {prefix: json.loads(file.read_bytes()) for prefix, file in files.items()}
    ranked = {
        ranking: [examples[prefix][query.id] for query in test.queries]
        for ranking, prefix in (("gallery", ""), ("subset", "subset_"))
    }
    made = cirr.submission(test.queries, ranked)
    assert {prefix: json.dumps(content).encode() for prefix, content in made.items()} == {
        prefix: file.read_bytes() for prefix, file in files.items()
    }


def test_cirrs_submission_of_a_random_ranking(official: Path) -> None:
    test = cirr.load(official / "cirr", "test")
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((4148, 4), dtype=np.float32)
    vectors = rng.standard_normal((2315, 4), dtype=np.float32)
    made = cirr.submission(test.queries, lists(test, queries, vectors))
    example = json.loads((official / "cirr/demo_files/test1_pred_ranks_recall.json").read_bytes())
    assert [*made[""]] == [*example] and [*made["subset_"]] == [*example]
    assert all(len(json.dumps(content)) <= 5_000_000 for content in made.values())
    for query in test.queries:
        names, few = made[""][query.id], made["subset_"][query.id]
        reference = test.name_of(query.reference)
        assert len({*names}) == 50 and len({*few}) == 3
        assert reference not in names and reference not in few
        assert {*few} <= {test.name_of(member) for member in query.members}


def test_fashioniq(official: Path) -> None:
    original = fashioniq.load(official / "fashioniq", "val")
    val = fashioniq.load(official / "fashioniq", "val", gallery="val")
    assert whole(original) == {
        "dress": (2017, 3817),
        "shirt": (2038, 6346),
        "toptee": (1961, 5373),
    }
    assert whole(val) == {"dress": (2017, 2628), "shirt": (2038, 3089), "toptee": (1961, 2902)}
    assert len(original.pictures) == 3817 + 6346 + 5373 - 121  # both a shirt and a top
    assert all(len(query.targets) == 1 and len(query.texts) == 2 for query in val.queries)
    assert original.queries[0].texts[1] == (
        "fit and flare and is shiny and silver with shorter sleeves"
    )
    assert "$" not in "".join(text for query in original.queries for text in query.texts)


def test_genecis(official: Path) -> None:
    objects = ("focus_object", "change_object")
    both = genecis.load(official / "genecis", tasks=objects)
    assert whole(both) == dict.fromkeys(objects, (1960, 15))
    for task, conditions, photos in (("focus_object", 97, 2198), ("change_object", 109, 2739)):
        queries = [query for query in both.queries if query.groups == (task,)]
        assert len({query.texts for query in queries}) == conditions
        used = {n for query in queries for n in (query.reference, *query.gallery.tolist())}
        assert len({both.pictures[number] for number in used}) == photos
        assert not any(query.reference in query.gallery for query in queries)
    zero = genecis.load(official / "genecis", tasks=objects, text="zero")
    assert {query.texts for query in zero.queries} == {("0",)}
    with pytest.raises(MismatchError, match=r"no genecis/focus_attribute.json.*--genecis-tasks"):
        genecis.load(official / "genecis")


def test_a_target_that_is_listed_again_is_never_first(official: Path) -> None:
    """Template 19 of change_object: the same photo, so the same score, and ties count against."""
    change = genecis.load(official / "genecis", tasks=["change_object"])
    query = change.queries[19]
    assert query.texts == ("toaster",)
    again = change.pictures[int(query.gallery[14])]
    assert again == change.pictures[query.targets[0]] and "175364" in str(again)
    vectors = np.zeros((len(change.pictures), 2), np.float32)
    vectors[[n for n, path in enumerate(change.pictures) if path == again]] = (1, 0)
    queries = np.array([[1, 0]] * 1960, np.float32)
    ranks = score(change, queries, vectors)["targets"]
    assert ranks.first[19] == 2
    assert score(change, queries, vectors, ties="optimistic")["targets"].first[19] == 1


def test_cirrs_ranks_by_plain_loops(official: Path) -> None:
    val = cirr.load(official / "cirr", "val")
    rng = np.random.default_rng(1)
    # Products of whole numbers are exact, and ties are many.
    queries = rng.integers(-3, 4, (4181, 8)).astype(np.float32) / 8
    vectors = rng.integers(-3, 4, (2297, 8)).astype(np.float32) / 8
    found = score(val, queries, vectors)
    for place in range(0, 4181, 40):
        query, scores = val.queries[place], vectors @ queries[place]
        (target,) = query.targets
        for name, searched in (("gallery", range(2297)), ("subset", query.members)):
            ahead = [
                n for n in searched if n not in (query.reference, target)
                and scores[n] >= scores[target]
            ]  # fmt: skip
            assert found[name].first[place] == 1 + len(ahead)
