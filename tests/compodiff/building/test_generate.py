"""Generated pictures and rewritten captions: filtered, resumable, and equal for equal seeds."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from compodiff import build_triplets as building
from compodiff.build_triplets import build_triplets
from compodiff.building import pipelines, rewriting
from compodiff.building.journal import Journal
from compodiff.building.pipelines import Asked
from compodiff.building.rows import row
from tests.compodiff.build_stub import NAMED, Colours, config, lines, paint, write
from vretr.data import triplets
from vretr.errors import MismatchError, UsageError

COLOURS = [("red", "blue"), ("blue", "green"), ("green", "red"), ("black", "yellow")]


@pytest.fixture(autouse=True)
def judged_by_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(building, "load_encoder", lambda name, device: Colours())


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(
        tmp_path / "text-triplets.jsonl",
        *(
            row(
                reference=None,
                targets=[],
                text=f"make it {after}",
                captions=(f"a {before} bag", f"a {after} bag"),
                source="captions",
                seed=0,
                split="val" if before == "black" else "train",
            )
            for before, after in COLOURS
        ),
    )


class Painter:
    """Paints the colours that it is told, now and then wrongly."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def pair(self, asked: Asked) -> tuple[Image.Image, Image.Image]:
        self.asked.append(asked)
        draw = np.random.default_rng(asked.seed)
        wrong = draw.random() < 0.3

        def painted(caption: str) -> Image.Image:
            named = next(name for name in NAMED if name in caption)
            light = np.array(ImageColor.getrgb("white" if wrong else named))
            return Image.fromarray(
                np.clip(light + draw.normal(0, 9, (16, 16, 3)), 0, 255).astype(np.uint8)
            )

        return painted(asked.reference), painted(asked.target)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "report.json" and path.suffix != ".html"
    }


def test_the_best_pairs_are_kept(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter = Painter()
    monkeypatch.setattr(pipelines, "load", lambda _: painter)
    options = {"encoder": "x", "samples": 8, "keep": 3, "min_img_img": -1.0, "min_txt": 0.9}
    (told,) = build_triplets(config(texts, "generate", tmp_path / "out", **options))
    assert len(painter.asked) == 32 and len({each.seed for each in painter.asked}) == 32
    rows = lines(tmp_path / "out" / "triplets.jsonl")
    assert told["splits"] == {"train": 9, "val": 3} and len(rows) == 9
    for each in rows:
        assert each["scores"]["dir"] > 0.9 and each["source"] == "generate"
        assert each["edit"] == []
    for first in range(0, 9, 3):
        order = [each["scores"]["dir"] for each in rows[first : first + 3]]
        assert order == sorted(order, reverse=True)
    left_out = sum(told["rejected"].values())
    assert left_out == 32 - 12 and "others of the pair are better" in told["rejected"]
    assert len(triplets.load(tmp_path / "out" / "triplets.jsonl")) == 9
    pictures = [*(tmp_path / "out" / "pictures").iterdir()]
    assert len(pictures) == 24  # what is left out does not stay on disk


def test_an_interrupted_run_goes_on(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"dry_run": True, "filter": False, "samples": 3, "keep": 2}
    build_triplets(config(texts, "generate", tmp_path / "straight", **options))
    made = pipelines.Noise.pair
    count = 0

    def interrupted(self: pipelines.Noise, asked: Asked) -> tuple[Image.Image, Image.Image]:
        nonlocal count
        count += 1
        if count == 8:  # in the third row
            raise KeyboardInterrupt
        return made(self, asked)

    monkeypatch.setattr(pipelines.Noise, "pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_triplets(config(texts, "generate", tmp_path / "broken", **options))
    assert not (tmp_path / "broken" / "triplets.jsonl").exists()
    journal = tmp_path / "broken" / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"id": "half a li')
    build_triplets(config(texts, "generate", tmp_path / "broken", **options))
    assert count == 8 + 6  # two rows were there
    assert files(tmp_path / "broken") == files(tmp_path / "straight")
    build_triplets(config(texts, "generate", tmp_path / "broken", **options))
    assert count == 14
    with pytest.raises(MismatchError, match="another samples: give another --out"):
        build_triplets(config(texts, "generate", tmp_path / "broken", **options | {"samples": 4}))


def test_equal_seeds_equal_pictures(texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dry_run": True, "filter": False, "samples": 2}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build_triplets(config(texts, "generate", tmp_path / name, **options, seed=seed))
    a, b, c = (files(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


def test_what_cannot_be_generated(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"Filters need an encoder .*--no-filter"):
        build_triplets(config(texts, "generate", out, dry_run=True))
    with pytest.raises(UsageError, match="Name the folder of a diffusers pipeline"):
        build_triplets(config(texts, "generate", out, filter=False))
    with pytest.raises(UsageError, match=r"no folder .* with a pipeline"):
        build_triplets(config(texts, "generate", out, filter=False, pipeline=tmp_path / "none"))
    with pytest.raises(UsageError, match=r"edits photos, and .* rows without a reference"):
        build_triplets(config(texts, "generate", out, dry_run=True, filter=False, way="instruct"))
    with pytest.raises(MismatchError, match="No pair of pictures passed the filters"):
        build_triplets(config(texts, "generate", out, encoder="x", dry_run=True, min_txt=1.5))
    with texts.open("a") as file:
        file.write('{"id": "x", "text": "y"}\n')
    with pytest.raises(MismatchError, match=r"1 lines without id, text, .*: line 5\."):
        build_triplets(config(texts, "generate", out, dry_run=True, filter=False))

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(pipelines, "import_module", missing)
    with pytest.raises(UsageError, match="diffusers, which is not installed: pip install"):
        pipelines.load(config(texts, "generate", out, pipeline=tmp_path))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["img2img", "shared-noise"])
def test_a_random_pipeline_of_diffusers(texts: Path, tmp_path: Path, way: str) -> None:
    pytest.importorskip("diffusers")
    from tests.compodiff.tiny_pipeline import save

    save(tmp_path / "pipeline")
    options: dict[str, Any] = {"pipeline": tmp_path / "pipeline", "way": way, "filter": False}
    options |= {"samples": 2, "steps": 2, "limit": 2, "device": "cpu"}
    for name in ("a", "b"):
        build_triplets(config(texts, "generate", tmp_path / name, **options))
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(triplets.load(tmp_path / "a" / "triplets.jsonl")) == 4


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_that_edits_photos(texts: Path, tmp_path: Path) -> None:
    paint(tmp_path / "red.png", "red")
    rows = [{**each, "reference": "red.png"} for each in lines(texts)]
    write(texts, *rows)
    asked = []

    class Editor:
        def to(self, device: str) -> "Editor":
            return self

        def set_progress_bar_config(self, **_: Any) -> None: ...

        def __call__(self, text: str, image: Image.Image, **settings: Any) -> Any:
            asked.append((text, image.size, settings["image_guidance_scale"]))
            return type("Output", (), {"images": [image]})()

    options = config(texts, "generate", tmp_path / "out", way="instruct", size=24, device="cpu")
    pipeline = pipelines.Diffusers(None, Editor(), options)
    first, second = pipeline.pair(Asked("a", "b", "make it blue", tmp_path / "red.png", 3))
    assert first.size == second.size == (24, 24)
    assert asked == [("make it blue", (24, 24), 1.5)]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (
            " make it a cat\nResult: a brown cat runs\n\nCaption: x",
            ("make it a cat", "a brown cat runs"),
        ),
        ("Change: add snow.\nResult: a dog in the snow.", ("add snow", "a dog in the snow")),
        (" make it a dog\nResult: A dog runs.", "model: nothing changes"),
        (" make it a cat", "model: no change and result"),
        ("", "model: no change and result"),
        (" x\nResult: cat", "model: no caption"),
    ],
)
def test_what_a_model_writes(written: str, found: object) -> None:
    each = rewriting.parsed("a dog runs", written)
    assert (each if isinstance(each, str) else (each.text, each.target)) == found


def test_rewriting_goes_on(tmp_path: Path) -> None:
    asked: list[str] = []

    class Author:
        def write(self, prompts: Sequence[str], seed: int) -> list[str]:
            asked.extend(prompts)
            if len(asked) > 20:
                raise KeyboardInterrupt
            return [" add snow\nResult: a dog in the snow" for _ in prompts]

    said = [f"a dog number {number}" for number in range(30)]
    options = config(tmp_path, "captions", tmp_path, rewrite=tmp_path)
    rejected: Counter[str] = Counter()
    stream = rewriting.rewritten(iter(said), options, rejected, Author())
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    del asked[:]
    found = [*rewriting.rewritten(iter(said), options, rejected, Author())]
    assert [each.reference for each in found] == said
    assert len(asked) == 30 - rewriting.BATCH
    assert asked[0].endswith("Caption: a dog number 16\nChange:")


@pytest.mark.slow
def test_a_random_model_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = ["<end>", "a", "dog", "runs", "Caption", "Change", "Result", ":", "[UNK]"]
    tokenizer = Tokenizer(models.WordLevel(dict(zip(words, range(9), strict=True)), "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", unk_token="[UNK]"
    ).save_pretrained(tmp_path / "model")
    GPT2LMHeadModel(
        GPT2Config(vocab_size=9, n_positions=512, n_embd=8, n_layer=1, n_head=1)
    ).save_pretrained(tmp_path / "model")
    file = tmp_path / "c.txt"
    file.write_text("a dog runs\na dog runs home\n")
    options = {"rewrite": tmp_path / "model", "device": "cpu"}
    written = []
    for name in ("a", "b"):
        with pytest.raises(MismatchError, match="model: no change and result: 2"):
            build_triplets(config(file, "captions", tmp_path / name, **options))
        written.append((tmp_path / name / rewriting.JOURNAL).read_bytes())
    assert written[0] == written[1] and b"runs" in written[0]


def test_no_model(tmp_path: Path) -> None:
    file = tmp_path / "c.txt"
    file.write_text("a dog runs\n")
    with pytest.raises(UsageError, match=r"no folder .* with a language model"):
        build_triplets(config(file, "captions", tmp_path / "a", rewrite=tmp_path / "none"))


def test_a_journal_is_on_disk_at_once(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    with Journal(file, {"seed": 1}) as journal:
        journal.add("a", {"n": 1})
        assert [json.loads(line) for line in file.read_bytes().splitlines()] == [
            {"seed": 1},
            {"id": "a", "n": 1},
        ]
    os.truncate(file, file.stat().st_size - 3)
    with Journal(file, {"seed": 1}) as journal:
        assert journal.done == {}
    file.write_bytes(b'{"se')
    with Journal(file, {"seed": 2}) as journal:
        assert journal.done == {}
