"""CompoDiff on a small set of triplets and the four benchmarks, with the paper's rows."""

from pathlib import Path

import numpy as np
import pytest

from compodiff.config import EvalConfig
from compodiff.evaluate import evaluate
from compodiff.published import FIGURES, rows
from compodiff.train import train
from tests.vretr.data.cir import tiny
from vretr.errors import MismatchError, UsageError
from vretr.evaluation.cir import evaluate as core_evaluate
from vretr.evaluation.config import CirConfig


@pytest.fixture
def run(config) -> Path:
    return train(config(steps=2)).folder


def test_with_a_run_and_its_options(run, folder, encoder) -> None:
    data = {"dataset": f"triplets:{folder / 'triplets.jsonl'}", "workers": 0}
    found = evaluate(EvalConfig(run=run, steps=1, guidance_text=1.0, **data))
    assert {"recall@1", "recall@10", "map@10"} <= set(found.metrics)
    settings = found.settings
    assert settings["composer"] == "compodiff" and settings["encoder"] == encoder.name
    assert (settings["steps"], settings["guidance_text"], settings["run"]) == (1, 1.0, str(run))
    assert found.published == {}
    whole = evaluate(EvalConfig(run=run, picture_weight=1.0, **data))
    image = core_evaluate(CirConfig(encoder=encoder.name, composer="image", **data))
    assert whole.metrics == image.metrics
    summed = evaluate(EvalConfig(encoder=encoder.name, composer="sum", **data))
    core = core_evaluate(CirConfig(encoder=encoder.name, composer="sum", **data))
    assert summed.metrics == core.metrics


def test_without_one_at_hand_or_of_another_encoder(run, folder, encoder) -> None:
    data = {"dataset": f"triplets:{folder / 'triplets.jsonl'}", "workers": 0}
    with pytest.raises(UsageError, match=r"no CompoDiff at hand for .*vretr train compodiff"):
        evaluate(EvalConfig(encoder=encoder.name, **data))
    with pytest.raises(MismatchError, match="lite is another encoder"):
        evaluate(EvalConfig(encoder="lite", run=run, **data))


def test_options_belong_to_compodiff() -> None:
    for given in ({"run": Path("x")}, {"steps": 3}, {"seed": 1}):
        with pytest.raises(ValueError, match="belongs to the composer compodiff"):
            EvalConfig(dataset="triplets:x", composer="sum", **given)
    with pytest.raises(ValueError, match="eta is 2"):
        EvalConfig(dataset="triplets:x", eta=2)


def test_published_rows_are_the_backbones_own() -> None:
    assert rows("cirr", "ViT-G")["CompoDiff, ViT-G, test"]["recall@1"] == 0.2671
    assert rows("circo", "lite")["CompoDiff, ViT-L, test"]["map@5"] == 0.1255
    assert rows("triplets", "ViT-L") == {}
    means = FIGURES["fashioniq"][1]["ViT-L"]
    for name in ("recall@10", "recall@50"):
        mean = np.mean([means[f"{each}_{name}"] for each in ("shirt", "dress", "toptee")])
        assert mean == pytest.approx(means[name], abs=2e-4)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("circo", "map@5"),
        ("cirr", "subset_recall@1"),
        ("fashioniq", "dress_recall@10"),
        ("genecis", "change_object_recall@1"),
    ],
)
def test_the_four_benchmarks_with_the_papers_row_beside(tmp_path, run, name, metric) -> None:
    root = tmp_path / "root"
    root.mkdir()
    settings = {"dataset": name, "root": tiny.MAKE[name](root), "allow_missing": True, "workers": 0}
    found = evaluate(EvalConfig(run=run, **settings))
    assert metric in found.metrics
    row = found.published[f"CompoDiff, ViT-L, {'val' if name == 'fashioniq' else 'test'}"]
    assert {*row} <= {*found.metrics}
