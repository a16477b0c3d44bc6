"""LinCIR on a small set of triplets: as a function, with the baselines, with the paper's rows."""

from pathlib import Path

import numpy as np
import pytest

from lincir.config import EvalConfig
from lincir.evaluate import evaluate
from lincir.published import FIGURES, rows
from tests.lincir.test_files import own
from tests.lincir.test_train import write_triplets
from tests.vretr.data.cir import tiny
from vretr.errors import MismatchError, UsageError
from vretr.evaluation.cir import evaluate as core_evaluate
from vretr.evaluation.config import CirConfig


@pytest.fixture
def triplets(tmp_path: Path) -> dict[str, str | Path]:
    return {"dataset": f"triplets:{write_triplets(tmp_path)}"}


def test_with_a_run_or_file(tmp_path, encoder, triplets) -> None:
    file = own(tmp_path, encoder, prompt="$ {}")
    found = evaluate(EvalConfig(phi=file, workers=0, **triplets))
    assert {"recall@1", "recall@10", "map@10"} <= set(found.metrics)
    assert found.settings["composer"] == "lincir" and found.settings["prompt"] == "$ {}"
    assert found.settings["encoder"] == encoder.name and len(found.settings["phi"]) == 16
    assert found.published == {}  # nobody has published figures of our triplets
    own_prompt = evaluate(
        EvalConfig(phi=file, workers=0, prompt="a {} $", picture_weight=1.0, **triplets)
    )
    assert own_prompt.settings["prompt"] == "a {} $"
    image = evaluate(EvalConfig(encoder=encoder.name, composer="image", workers=0, **triplets))
    assert own_prompt.metrics == image.metrics


@pytest.mark.parametrize("name", ["image", "text", "sum", "slerp"])
def test_baselines_are_the_cores(encoder, triplets, name: str) -> None:
    mine = evaluate(EvalConfig(encoder=encoder.name, composer=name, workers=0, **triplets))
    core = core_evaluate(CirConfig(encoder=encoder.name, composer=name, workers=0, **triplets))
    assert mine.metrics == core.metrics


def test_without_a_phi_at_hand(encoder, triplets) -> None:
    with pytest.raises(UsageError, match=r"no φ at hand for .*vretr train lincir"):
        evaluate(EvalConfig(encoder=encoder.name, workers=0, **triplets))


def test_a_phi_of_another_backbone(tmp_path, encoder, triplets) -> None:
    with pytest.raises(MismatchError, match="lite is another encoder"):
        evaluate(EvalConfig(encoder="lite", phi=own(tmp_path, encoder), workers=0, **triplets))


def test_phi_and_prompt_belong_to_lincir(triplets) -> None:
    for given in ({"phi": Path("x")}, {"prompt": "$ {}"}, {"words_weight": 0.5}):
        with pytest.raises(ValueError, match="belongs to the composer lincir"):
            EvalConfig(composer="sum", **given, **triplets)


def test_published_rows_are_the_backbones_own() -> None:
    """And means agree with what they are of, within the rounding of the tables."""
    assert rows("cirr", "ViT-G")["LinCIR, ViT-G, test"]["recall@1"] == 0.3525
    assert rows("circo", "lite")["LinCIR, ViT-L, test"]["map@5"] == 0.1259
    assert len(rows("fashioniq", "ViT-L")) == 2 and rows("triplets", "ViT-L") == {}
    for figures in FIGURES["fashioniq"][1].values():
        for name in ("recall@10", "recall@50"):
            mean = np.mean([figures[f"{c}_{name}"] for c in ("shirt", "dress", "toptee")])
            assert mean == pytest.approx(figures[name], abs=2e-4)
    for figures in FIGURES["genecis"][1].values():
        tasks = ("focus_attribute", "change_attribute", "focus_object", "change_object")
        mean = np.mean([figures[f"{task}_recall@1"] for task in tasks])
        assert mean == pytest.approx(figures["recall@1"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("circo", "map@5"),
        ("cirr", "subset_recall@1"),
        ("fashioniq", "dress_recall@10"),
        ("genecis", "change_object_recall@1"),
    ],
)
def test_the_four_benchmarks_with_the_papers_row_beside(tmp_path, encoder, name, metric) -> None:
    root = tmp_path / "root"
    root.mkdir()
    settings = {"dataset": name, "root": tiny.MAKE[name](root), "allow_missing": True, "workers": 0}
    found = evaluate(EvalConfig(phi=own(tmp_path, encoder), **settings))
    assert metric in found.metrics
    row = found.published[f"LinCIR, ViT-L, {'val' if name == 'fashioniq' else 'test'}"]
    assert {*row} <= {*found.metrics}
