"""The token cache: made once, by any number of processes, kept when interrupted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lincir import tokens
from lincir.corpus import Corpus
from lincir.preparing import Recipe, Tokens
from lincir.tokens import load_tokens
from vretr.encoders import PseudoTextEncoder
from vretr.errors import MismatchError, VretrError


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "BLOCK", 25)


def recipe(clip: str, **changes) -> Recipe:
    return Recipe(**{"encoder": clip, "tagger": "rules", "masking": "span", "tokens": 1} | changes)


def text(file: Path) -> Corpus:
    return Corpus.of([str(file)], ["text"])


def lists(found: Tokens) -> list[list[list[int]]]:
    rows = [np.array([i]) for i in range(len(found.sentences))]
    return [
        [part.flat(row).tolist() for row in rows]
        for part in (found.sentences, found.masked, found.places)
    ]


def refuse(*arguments, **settings) -> Iterator[None]:
    raise AssertionError("prepared once more")
    yield


def test_it_is_made_once_and_mapped(encoder, clip, corpus: Path, monkeypatch) -> None:
    first, folder = load_tokens(text(corpus), encoder, recipe(clip))
    assert len(first.sentences) == 120 and isinstance(first.sentences.values, np.memmap)
    monkeypatch.setattr(tokens, "_prepared", refuse)
    again, same = load_tokens(text(corpus), encoder, recipe(clip))
    assert same == folder and lists(again) == lists(first)
    assert not [*folder.parent.glob("*.parts")] and not [*folder.parent.glob("*.making")]


def test_blocks_and_processes_change_nothing(
    encoder, clip, corpus: Path, tmp_path, monkeypatch
) -> None:
    whole, _ = load_tokens(text(corpus), encoder, recipe(clip))
    monkeypatch.setattr(tokens, "BLOCK", 25)
    for processes in (1, 2):
        monkeypatch.setenv("VRETR_HOME", str(tmp_path / f"home{processes}"))
        found, _ = load_tokens(text(corpus), encoder, recipe(clip), processes=processes)
        assert lists(found) == lists(whole)


@pytest.mark.usefixtures("small_blocks")
def test_finished_blocks_survive_an_interruption(encoder, clip, corpus: Path, monkeypatch) -> None:
    prepared = []
    real = tokens._prepared

    def interrupted(blocks, *rest):
        for number, block in real(blocks, *rest):
            yield number, block
            prepared.append(number)
            if number == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tokens, "_prepared", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_tokens(text(corpus), encoder, recipe(clip), processes=1)
    assert prepared == [0, 1, 2]

    def noted(blocks, *rest):
        for number, block in real(blocks, *rest):
            prepared.append(number)
            yield number, block

    monkeypatch.setattr(tokens, "_prepared", noted)
    found, _ = load_tokens(text(corpus), encoder, recipe(clip), processes=1)
    assert prepared == [0, 1, 2, 3, 4] and len(found.sentences) == 120


def test_other_settings_have_a_cache_of_their_own(encoder, clip, corpus: Path) -> None:
    changes = ({}, {"masking": "original"}, {"tokens": 2})
    folders = {load_tokens(text(corpus), encoder, recipe(clip, **change))[1] for change in changes}
    corpus.write_text("another")
    folders.add(load_tokens(text(corpus), encoder, recipe(clip))[1])
    assert len(folders) == 4


def test_a_corpus_without_a_sentence_is_refused(encoder, clip, tmp_path: Path) -> None:
    for content in ("", "\n\n $ \n...\n"):
        (tmp_path / "none.txt").write_text(content)
        with pytest.raises(MismatchError, match="holds no sentence"):
            load_tokens(text(tmp_path / "none.txt"), encoder, recipe(clip))


@pytest.mark.usefixtures("small_blocks")
def test_a_worker_that_fails_is_an_error(encoder, clip, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a dog"}\n' * 60 + "{\n")
    with pytest.raises(VretrError, match="cannot be read"):
        load_tokens(text(tmp_path / "x.jsonl"), encoder, recipe(clip), processes=2)


def test_what_is_odd_about_a_corpus_is_told(
    encoder: PseudoTextEncoder, clip, tmp_path, caplog
) -> None:
    (tmp_path / "odd.txt").write_text("\n빨간 자동차\na dog\n" + "word " * 20)
    load_tokens(text(tmp_path / "odd.txt"), encoder, recipe(clip))
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 4 lines of the corpus are empty and left out.",
        f"1 sentences are longer than the 16 tokens that {clip} reads; their last words are left "
        "out.",
        "1 of 3 sentences are not in Latin letters; key words are told apart in English only, so "
        "such a sentence is masked as a whole.",
    ]
