"""Scores against loops in float64; thresholds; baselines."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compodiff.build_config import BuildConfig
from compodiff.building import filters
from compodiff.building import report as build_report
from compodiff.building.filters import MADE_FOR_VIT_L, Scores, Thresholds
from compodiff.building.rows import row
from tests.compodiff.build_stub import NAMED, Colours, config, paint, write
from vretr.encoders import unit
from vretr.errors import MismatchError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


def drawn(seed: int, count: int = 40, dim: int = 7) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    length = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(y * y for y in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / length


def test_scores_against_loops() -> None:
    reference, target, before, after = (drawn(seed) for seed in range(4))
    found = filters.scores(reference, target, (before, after))
    for place in range(40):
        r, t, a, b = (each[place].astype(np.float64) for each in (reference, target, before, after))
        naive = (cosine(r, t), cosine(t - r, b - a), cosine(r, a), cosine(t, b))
        assert [float(each[place]) for each in found] == pytest.approx(naive, abs=1e-5)
    assert set(found.of(3)) == set(filters.NAMES)


def test_a_change_of_nothing_has_no_direction() -> None:
    same, other = drawn(0, 2), drawn(1, 2)
    coincide = filters.scores(same, same, (same, other))
    assert np.isnan(coincide.dir).all() and coincide.of(0)["dir"] is None
    assert np.isnan(filters.scores(same, other, (same, same)).dir).all()
    assert filters.reasons(coincide, Thresholds(min_dir=-1.0)) == ["nothing changes"] * 2
    assert filters.reasons(coincide, Thresholds()) == ["", ""]


def test_reasons() -> None:
    def reason(img_img: float, dir: float, ref_txt: float, tgt_txt: float) -> str:
        values = (np.array([each], np.float32) for each in (img_img, dir, ref_txt, tgt_txt))
        return filters.reasons(Scores(*values), MADE_FOR_VIT_L)[0]

    assert reason(0.9, 0.3, 0.25, 0.25) == ""
    assert reason(0.99, 0.3, 0.25, 0.25) == "pictures too alike"
    assert reason(0.5, 0.3, 0.25, 0.25) == "pictures too different"
    assert reason(0.9, 0.1, 0.25, 0.25) == "another change than the words say"
    assert reason(0.9, 0.3, 0.1, 0.25) == "reference is not what its words say"
    assert reason(0.9, 0.3, 0.25, math.nan) == "target is not what its words say"


def test_calibrated_thresholds_let_seventy_of_a_hundred_pass(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw = np.random.default_rng(0)
    rows = []
    for number in range(100):
        level = [tuple(int(x) for x in draw.integers(0, 255, 3)) for _ in range(2)]
        for side, colour in zip("ab", level, strict=True):
            paint(tmp_path / f"{number}{side}.png", "#%02x%02x%02x" % colour, number)  # noqa: UP031
        before, after = (NAMED[int(place)] for place in draw.choice(len(NAMED), 2, replace=False))
        rows.append(
            row(
                reference=f"{number}a.png",
                targets=[f"{number}b.png"],
                text="x",
                captions=(f"a {before} sheet", f"a {after} sheet"),
                source="mine",
                seed=0,
            )
        )
    file = write(tmp_path / "true.jsonl", *rows)
    found = filters.calibrated(file, Colours(), MADE_FOR_VIT_L)
    assert found.max_img_img == MADE_FOR_VIT_L.max_img_img
    assert json.loads(caplog.text.partition("Calibrated: ")[2]) == {
        "min_img_img": found.min_img_img,
        "min_dir": found.min_dir,
        "min_txt": found.min_txt,
    }
    encoder = Colours()
    sides = []
    for side in "ab":
        pictures = [Image.open(tmp_path / f"{number}{side}.png") for number in range(100)]
        sides.append(encoder.encode_images(pictures))
        for picture in pictures:
            picture.close()
    words = [
        encoder.encode_texts([each[f"{s}_caption"] for each in rows])
        for s in ("reference", "target")
    ]
    again = filters.scores(sides[0], sides[1], (words[0], words[1]))
    assert found.min_img_img is not None and found.min_dir is not None
    assert (again.img_img >= found.min_img_img - 1e-4).sum() == pytest.approx(70, abs=1)
    directed = again.dir[~np.isnan(again.dir)]  # black and white are one direction here
    assert (directed >= found.min_dir - 1e-4).mean() == pytest.approx(0.7, abs=0.02)
    given = config(tmp_path, "folder", tmp_path, encoder="x", calibrate=file, min_txt=0.123)
    assert filters.thresholds(given, encoder, MADE_FOR_VIT_L).min_txt == 0.123


def test_thresholds_of_another_encoder_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = config(tmp_path, "folder", tmp_path, encoder="x", min_img_img=0.1)
    found = filters.thresholds(given, Colours(), MADE_FOR_VIT_L)
    assert found == Thresholds(0.1, 0.985, 0.2, 0.2)
    assert "made for ViT-L and not for colours" in caplog.text


def test_an_encoder_without_words(tmp_path: Path) -> None:
    encoder = Colours()
    encoder.reads_text = False  # type: ignore[misc]
    with pytest.raises(MismatchError, match="colours reads no words"):
        filters.require(encoder)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"min_dir": 0.2}, "filters need an encoder"),
        ({"neighbours": 5}, "need an encoder"),
        ({"val": 0.6, "test": 0.5}, "leave something to train on"),
        ({"max_diff": 3}, "must be 1 or 2"),
        ({"change": ("a",), "same": ("a",)}, "a cannot both change and stay"),
        ({"samples": 0}, "samples is 0"),
        ({"per_pair": -1}, "must be 0 or more"),
        ({"encoder": "x", "sim_band": (0.9, 0.1)}, "least and then the largest"),
        ({"from_": "generate", "val": 0.1}, "belong to the text triplets"),
    ],
)
def test_impossible_options(options: dict[str, object], why: str) -> None:
    known = {"source": Path("x"), "out": Path("y"), "from_": "folder", **options}
    with pytest.raises(ValueError, match=why):
        BuildConfig(**known)  # type: ignore[arg-type]


def test_words_that_give_the_target_away(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    pairs = [("red", "blue"), ("green", "yellow"), ("black", "red")]
    rows = [
        row(
            reference=None,
            targets=[],
            text=after,
            captions=(f"a {before} bag", f"a {after} bag"),
            source="captions",
            seed=0,
        )
        for before, after in pairs
    ]
    found = build_report.baselines(rows, tmp_path, Colours(), None)
    assert found["words alone"] == 1.0 and found["picture alone"] < 1
    assert "Words alone reach a recall@1 of 1.000" in caplog.text
    assert "the instruction gives the target away" in caplog.text


def test_a_sample_is_drawn_evenly() -> None:
    counts = np.zeros(20)
    for seed in range(600):
        sample = build_report.Sample(5, seed)
        for number in range(20):
            sample.put({"number": number})
        assert len(sample.rows) == 5
        for each in sample.rows:
            counts[each["number"]] += 1
    assert np.abs(counts / 600 - 0.25).max() < 0.08
