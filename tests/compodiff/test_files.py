"""CompoDiff from files: Runs, other methods' Runs, other encoders, the released layout, damage."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compodiff import files
from compodiff.config import ComposerOptions
from compodiff.train import train
from tests.compodiff.conftest import TINY
from tests.vretr.encoders.tiny import tiny_clip
from vretr.composers import default_composer, load_composer
from vretr.encoders import load_encoder
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.training import Run, TrainConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory, clip: str, folder: Path) -> Path:
    from compodiff.config import TrainConfig as Config

    out = tmp_path_factory.mktemp("runs") / "run"
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VRETR_HOME", str(home))
        train(
            Config(
                backbone=clip,
                triplets=(folder / "triplets.jsonl",),
                out=out,
                **{**TINY, "steps": 2},
            )
        )
    return out


def test_by_name_of_a_run_with_options(run, encoder) -> None:
    found = load_composer(str(run), encoder, options=["steps=3", "guidance-text=4"])
    assert (found.steps, found.guidance[1]) == (3, 4.0)
    by_file = load_composer(f"compodiff:{run / 'model.safetensors'}", encoder, picture_weight=0.5)
    assert by_file.picture_weight == 0.5
    picture = np.eye(1, encoder.dim, dtype=np.float32)
    one, other = (files.composer(encoder, run) for _ in range(2))
    np.testing.assert_array_equal(one.compose(picture, ["x"]), other.compose(picture, ["x"]))


def test_options_with_near_names(run, encoder) -> None:
    with pytest.raises(UsageError, match="no composer option 'step'; did you mean steps"):
        load_composer(str(run), encoder, options=["step=3"])
    with pytest.raises(UsageError, match="steps is 0"):
        load_composer(str(run), encoder, options=["steps=0"])


def test_no_prompt(run, encoder) -> None:
    with pytest.raises(UsageError, match="it has no --prompt"):
        load_composer(str(run), encoder, prompt="$ {}")


def test_another_encoder(run, tmp_path) -> None:
    other = load_encoder(f"local-dir:{tiny_clip(tmp_path / 'other', seed=1)}")
    with pytest.raises(MismatchError, match=r"was trained for local-dir:.*is another encoder"):
        files.composer(other, run)


def test_nothing_at_hand(encoder) -> None:
    assert files.composer(encoder) is None
    with pytest.raises(UsageError, match="compodiff has nothing at hand"):
        load_composer("compodiff", encoder)
    with pytest.raises(UsageError, match="no file"):
        files.composer(encoder, Path("none.safetensors"))


def test_what_is_shipped_is_the_default_only_where_its_card_says_so(
    run, encoder, tmp_path, monkeypatch
) -> None:
    from vretr.training.checkpoints import read, write

    monkeypatch.setattr(files, "SHIPPED", tmp_path)
    tensors, about = read(run / "model.safetensors")
    for default in (False, True):
        about["compodiff"]["default"] = default
        write(tmp_path / "tiny.safetensors", tensors, about)
        found, names = default_composer(encoder)
        assert "compodiff" in names
        assert (found.name == "compodiff") == default


def test_runs_of_others_and_damage(run, encoder, tmp_path) -> None:
    lincir = Run.create(TrainConfig(out=tmp_path / "other"), method="lincir", kind="composer")
    with pytest.raises(MismatchError, match="a run of lincir, not of compodiff"):
        files.composer(encoder, lincir.folder)
    (tmp_path / "bad.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:100])
    with pytest.raises(VretrError, match="cannot be read"):
        files.composer(encoder, tmp_path / "bad.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "phi.safetensors", {"vretr": json.dumps({"a": 1})})
    with pytest.raises(MismatchError, match="does not say how its CompoDiff was trained"):
        files.composer(encoder, tmp_path / "phi.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MismatchError, match="neither a run nor a released"):
        files.composer(encoder, tmp_path / "empty")


def test_the_released_layout(tmp_path, encoder, clip, monkeypatch, caplog) -> None:
    from compodiff.model import Prior

    monkeypatch.setattr(files, "RELEASED_WORDS", clip)
    torch.manual_seed(0)
    prior = Prior(dim=encoder.dim, depth=1, heads=2, head_dim=8, text_width=32, mask_size=8)
    monkeypatch.setattr("compodiff.released.read_released", lambda path: prior.eval())
    file = tmp_path / "pytorch_model.bin"
    file.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        found = files.composer(encoder, tmp_path, options=ComposerOptions(steps=2))
    assert "its authors' was ViT-L" in caplog.text
    assert found.guidance == (1.5, 7.5) and found.picture_weight == 0.1
    assert found._maker.form == "original" and not found.trained.normalise
    query = found.compose(np.eye(1, encoder.dim, dtype=np.float32), ["red"])
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)


def test_no_torch_before_the_network_is_used(run, clip) -> None:
    import subprocess
    import sys

    code = (
        "import sys; import compodiff.files, compodiff.config, compodiff.composer; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
