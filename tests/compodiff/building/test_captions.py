"""Text triplets: key words are found and swapped, and the rest of the caption stays."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

from compodiff.build_triplets import build_triplets
from compodiff.building import captions, keywords, phrasings
from compodiff.building.keywords import Table
from compodiff.building.phrasings import Edit
from tests.compodiff.build_stub import Colours, config, lines
from vretr.errors import MismatchError, UsageError

TABLE = keywords.load()


def told(caption: str, table: Table = TABLE) -> list[tuple[str, str]]:
    return [(caption[f.start : f.end], f.group) for f in table.find(caption)]


def swapped(caption: str, group: str, word: str) -> str:
    (found,) = [each for each in TABLE.find(caption) if each.group == group]
    (meaning,) = [each for each in TABLE.groups[group] if each.word == word]
    return keywords.swap(caption, found, meaning)


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("A red dog", [("red", "colour"), ("dog", "animal")]),
        ("two PUPPIES at night.", [("two", "number"), ("PUPPIES", "animal"), ("at night", "time")]),
        ("a polar bear", [("polar bear", "animal")]),
        ("a black and white photo", []),
        ("a white man eats a hot dog", [("hot dog", "food")]),
        ("a two-story house and a dog's bone", []),
        ("an old truck, an old man", [("truck", "vehicle"), ("old", "age")]),
        ("redder, catalogue, bused", []),
        ("İstanbul has a red bus", []),  # its lower case is longer: left alone rather than shifted
    ],
)
def test_words_are_found(caption: str, found: list[tuple[str, str]]) -> None:
    assert told(caption) == found


@pytest.mark.parametrize(
    ("caption", "group", "word", "after"),
    [
        ("A red car", "colour", "orange", "An orange car"),
        ("An orange car", "colour", "red", "A red car"),
        ("AN APPLE TREE", "food", "banana", "A BANANA TREE"),
        ("an elephant", "animal", "zebra", "a zebra"),
        ("a shirt", "clothing", "uniform", "a uniform"),
        ("Puppies play", "animal", "wolf", "Wolves play"),
        ("three boats", "boat", "ferry", "three ferries"),
        ("two churches", "room", "library", "two libraries"),
        ("a red banana", "food", "apple", "a red apple"),
    ],
)
def test_words_are_swapped(caption: str, group: str, word: str, after: str) -> None:
    assert swapped(caption, group, word) == after


def test_every_group_has_words_and_phrasings() -> None:
    for group, meanings in TABLE.groups.items():
        assert len(meanings) >= 3, group
        for attribute in (False, True):
            said = phrasings.templates(group, attribute=attribute)
            assert len(said) == len({*said}) >= 12, group
            for template in said:
                assert "{b}" in template
                assert set(re.findall(r"{(\w+)}", template)) <= {"a", "b", "attribute"}


def test_no_spelling_belongs_to_two_groups() -> None:
    values = keywords.shipped()
    spelled = [
        word
        for group in [*values["words"].values(), *values["nouns"].values()]
        for each in group
        for word in each.split("|")
    ]
    assert [word for word, count in Counter(spelled).items() if count > 1] == []


def test_phrases_vary_and_are_drawn_for_the_row_alone() -> None:
    edits = (Edit("colour", "", "red", "blue"),)
    said = [phrasings.phrase(edits, 0, str(row)) for row in range(300)]
    assert len({*said}) >= 12
    assert said == [phrasings.phrase(edits, 0, str(row)) for row in range(300)]
    assert said != [phrasings.phrase(edits, 1, str(row)) for row in range(300)]
    assert all("blue" in each for each in said)
    two = phrasings.phrase((*edits, Edit("size", "size", "tiny", "large")), 0, "x")
    assert "blue" in two and " and " in two and "large" in two


def test_one_word_changes_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_text("A red dog runs.\nTwo men in an orange boat\nA man sits.\nA red dog runs.\n")
    (row,) = build_triplets(config(file, "captions", tmp_path / "out"))
    found = lines(tmp_path / "out" / "text-triplets.jsonl")
    assert row["kind"] == "words" and row["triplets"] == len(found) == 4
    assert row["rejected"] == {"caption seen before": 1, "no key word": 1}
    for forth, back in zip(found[::2], found[1::2], strict=True):
        assert forth["reference"] is forth["target"] is None
        assert (forth["reference_caption"], forth["target_caption"]) == (
            back["target_caption"],
            back["reference_caption"],
        )
        assert forth["edit"]["from"] == back["edit"]["to"] and forth["edit"]["to"] in forth["text"]
        before, after = (
            {*re.findall(r"\w+", forth[f"{side}_caption"].lower())} - {"a", "an"}
            for side in ("reference", "target")
        )
        assert before - after == {*forth["edit"]["from"].split()}
        assert after - before == {*re.findall(r"\w+", forth["edit"]["to"])}


def test_equal_seeds_equal_files_whatever_comes_before(tmp_path: Path) -> None:
    said = [f"a red dog near car number {n} and a lake" for n in range(50)]
    (tmp_path / "all.txt").write_text("\n".join(said))
    (tmp_path / "some.txt").write_text("\n".join(said[20:]))
    found = {}
    for name, source, seed in (("a", "all", 0), ("b", "all", 0), ("c", "some", 0), ("d", "all", 1)):
        out = tmp_path / name
        build_triplets(config(tmp_path / f"{source}.txt", "captions", out, seed=seed, val=0.2))
        found[name] = [file.read_bytes() for file in sorted(out.glob("*.jsonl"))]
    assert found["a"] == found["b"] != found["d"]
    assert {line for part in found["c"] for line in part.splitlines()} <= {
        line for part in found["a"] for line in part.splitlines()
    }


def test_captions_that_can_become_one_another_share_a_split() -> None:
    caption = "An orange cat and two boats on a lake at night"
    key = captions.split_key(caption, TABLE.find(caption))
    for found in TABLE.find(caption):
        for meaning in TABLE.groups[found.group]:
            other = keywords.swap(caption, found, meaning)
            assert captions.split_key(other, TABLE.find(other)) == key, other


def test_no_caption_is_in_two_splits(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "captions.txt.gz"
    build_triplets(config(source, "captions", tmp_path, limit=4000, val=0.2, test=0.1))
    said = {
        split: {
            row[f"{side}_caption"].lower()
            for row in lines(file)
            for side in ("reference", "target")
        }
        for split, file in (
            ("train", tmp_path / "text-triplets.jsonl"),
            ("val", tmp_path / "text-triplets-val.jsonl"),
            ("test", tmp_path / "text-triplets-test.jsonl"),
        )
    }
    assert min(map(len, said.values())) > 300
    assert not said["train"] & said["val"] and not said["train"] & said["test"]
    assert not said["val"] & said["test"]


def test_limits(tmp_path: Path) -> None:
    file = tmp_path / "c.txt"
    file.write_text("\n".join(f"in summer people see mount {n}" for n in range(40)))
    build_triplets(config(file, "captions", tmp_path / "x", per_pair=2, inverse=False))
    pairs = Counter(row["edit"]["to"] for row in lines(tmp_path / "x" / "text-triplets.jsonl"))
    assert len(pairs) == 3 and max(pairs.values()) == 2
    file.write_text("a red dog and a car on a lake\n")
    build_triplets(config(file, "captions", tmp_path / "y", per_caption=3, inverse=False))
    kinds = {row["edit"]["kind"] for row in lines(tmp_path / "y" / "text-triplets.jsonl")}
    assert len(kinds) == 3


def test_the_band_of_similarity() -> None:
    may = captions.allowed(keywords.load(groups=["colour"]), Colours(), (0.1, 0.9))
    words = [each.word for each in TABLE.groups["colour"]]
    vectors = Colours().encode_texts(words)
    for place in range(len(words)):
        inside = [
            other
            for other in range(len(words))
            if other != place and 0.1 <= float(vectors[place] @ vectors[other]) <= 0.9
        ]
        assert list(may["colour", place]) == inside


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('bird = ["robin", "blackbird|merle"]\n[nouns]\nanimal = ["dog", "ox"]\n')
    table = keywords.load(own, ["bird", "animal"])
    assert told("a merle and dogs and cats", table) == [("merle", "bird"), ("dogs", "animal")]
    own.write_text('bird = ["robin"]')
    with pytest.raises(MismatchError, match="'bird' must be a list of at least two words"):
        keywords.load(own)
    own.write_text("bird = ")
    with pytest.raises(MismatchError, match="cannot be read as TOML"):
        keywords.load(own)
    with pytest.raises(UsageError, match=r"no group of words 'color'; did you mean colour\?"):
        keywords.load(groups=["color"])


def test_captions_of_which_nothing_can_be_made(tmp_path: Path) -> None:
    file = tmp_path / "c.txt"
    file.write_text("People sit.\nhttp://x.org a red dog\nred\n")
    with pytest.raises(MismatchError) as raised:
        build_triplets(config(file, "captions", tmp_path / "out"))
    assert str(raised.value).startswith("No caption holds a key word that can be swapped in")
    assert "no key word: 1" in str(raised.value) and "an address: 1" in str(raised.value)
    assert not list((tmp_path / "out").iterdir())
    table = tmp_path / "c.jsonl"
    table.write_text('{"words": "a red dog"}\n')
    with pytest.raises(MismatchError, match=r"no column caption .*; it has words: .* --column"):
        build_triplets(config(table, "captions", tmp_path / "out"))
    table.write_text('{"caption": "a red dog"}\n{"caption"\n')
    with pytest.raises(MismatchError, match="malformed in line 2"):
        build_triplets(config(table, "captions", tmp_path / "out"))
    with pytest.raises(MismatchError, match="There is no file"):
        build_triplets(config(tmp_path / "none.txt", "captions", tmp_path / "out"))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_many_captions_take_little_memory(shared_data: Path, tmp_path: Path) -> None:
    code = dedent("""
        import gzip, resource, sys
        from pathlib import Path
        from compodiff.build_config import BuildConfig
        from compodiff.build_triplets import build_triplets
        source, out, repeated = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
        said = gzip.open(source, "rt").read().splitlines()[:20_000]
        big = out / "big.txt"
        with big.open("w") as file:
            for turn in range(repeated):
                file.writelines(f"{text} number {turn}\\n" for text in said)
        del said
        build_triplets(BuildConfig(source=big, from_="captions", out=out, per_pair=0))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """)
    peaks = []
    for repeated in (2, 10):
        out = tmp_path / str(repeated)
        out.mkdir()
        arguments = [str(shared_data / "captions.txt.gz"), str(out), str(repeated)]
        ended = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        peaks.append(int(ended.stdout))
    grown = (peaks[1] - peaks[0]) / 160_000 * 1_000_000  # MiB for a million captions
    assert grown < 700, peaks
