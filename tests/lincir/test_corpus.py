"""Sentences from files of every kind, and what is said of those that cannot be read."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lincir.corpus import DIFFUSION, GCC, MIDJOURNEY, Corpus, cleaned
from vretr.errors import MismatchError, UsageError, VretrError

LINES = ["A dog.", "", "un café, 5 $"]


def sentences(*names: object, columns: tuple[str, ...] = ("text", "captions")) -> list[str]:
    corpus = Corpus.of([str(name) for name in names], columns)
    return [text for block in corpus.blocks(2) for text in block]


def write(folder: Path, kind: str) -> Path:
    file = folder / f"odd [x]* name.{kind}"
    rows = [{"id": number, "text": text} for number, text in enumerate(LINES)]
    ending, _, packed = kind.partition(".")
    if ending == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
        return file
    text = {
        "txt": "\n".join(LINES),
        "jsonl": "\n".join(map(json.dumps, rows)),
        "csv": 'id,text\n0,A dog.\n1,\n2,"un café, 5 $"\n',
        "tsv": "id\ttext\n0\tA dog.\n1\t\n2\tun café, 5 $\n",
    }[ending]
    content = text.encode()
    file.write_bytes(gzip.compress(content) if packed else content)
    return file


@pytest.mark.parametrize(
    "kind", ["txt", "txt.gz", "jsonl", "jsonl.gz", "csv", "csv.gz", "tsv", "parquet"]
)
# The first release of datasets 4 leaves its CSV files to the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    assert sentences(write(tmp_path, kind)) == LINES


def test_several_after_one_another_and_one_twice(tmp_path: Path) -> None:
    text, table = write(tmp_path, "txt"), write(tmp_path, "jsonl")
    assert sentences(text, table, text) == LINES * 3


def test_a_cell_with_several_sentences_or_none(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text('{"captions": ["one", "two"]}\n{"captions": null}\n{"captions": ["three"]}')
    assert sentences(file) == ["one", "two", "", "three"]


def test_the_first_column_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "two.jsonl"
    file.write_text('{"caption": "a", "text": "b"}\n')
    assert sentences(file, columns=("caption", "text")) == ["a"]
    with pytest.raises(MismatchError, match=r"no column words; it has caption, text.*--column"):
        sentences(file, columns=("words",))


def test_an_empty_file_has_no_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    assert sentences(tmp_path / "empty.jsonl") == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.jsonl", b'{"text": "a"}\n{"text":\n'),
        ("latin.txt", b"caf\xe9\n"),
        ("x.parquet", b"no"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VretrError, match=rf"{name} cannot be read: \S"):
        sentences(tmp_path / name)


def test_names_that_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file nowhere.txt.*known are paper, repository"):
        sentences("nowhere.txt")
    with pytest.raises(UsageError, match="did you mean paper"):
        sentences("papr")
    (tmp_path / "x.doc").write_text("a")
    with pytest.raises(MismatchError, match=r"x.doc is none of .txt, .jsonl"):
        sentences(tmp_path / "x.doc")


def test_presets_are_the_papers_and_the_repositorys() -> None:
    assert [part.hub for part in Corpus.of(["paper"], ["text"]).parts] == [GCC, DIFFUSION]
    assert Corpus.of(["repository"], ["text"]).parts[-1].hub == MIDJOURNEY
    (pinned,) = Corpus.of(["somebody/captions@v1"], ["text"]).parts
    assert (pinned.hub, pinned.revision) == ("somebody/captions", "v1")


def test_the_hub_is_not_asked_without_network() -> None:
    with pytest.raises(UsageError, match="the network is off: give --corpus FILE"):
        sentences("somebody/captions")


def test_the_hub_is_read_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = {}

    def load(name, **settings):
        asked[name] = settings
        return datasets.Dataset.from_dict({"text": ["a", None]}).to_iterable_dataset()

    monkeypatch.setenv("VRETR_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert sentences("somebody/captions@v1") == ["a", ""]
    assert asked == {"somebody/captions": {"split": "train", "streaming": True, "revision": "v1"}}


def test_a_changed_file_has_another_state(tmp_path: Path) -> None:
    file = write(tmp_path, "txt")
    before = Corpus.of([str(file)], ["text"]).state
    assert before != Corpus.of([str(file)], ["caption"]).state
    file.write_text("another")
    assert before != Corpus.of([str(file)], ["text"]).state


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("  A <PERSON> with $5 $", "a person with 5"),
        ("<person>", "<person>"),  # the authors' code knows capitals only
        ("$$", ""),
    ],
)
def test_cleaning(written: str, clean: str) -> None:
    assert cleaned(written) == clean
