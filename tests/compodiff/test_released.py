"""The released layout: read from both formats, and refused in a sentence where it is not it."""

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from compodiff.released import from_released, our_name, read_released
from tests.compodiff.golden import Inputs, golden_prior, released_state
from vretr.errors import MismatchError, VretrError

GIVEN = Inputs()


def told(state: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return from_released(state)(GIVEN.x, GIVEN.image, GIVEN.text, GIVEN.mask, GIVEN.t)


def test_sizes_come_from_shapes() -> None:
    assert golden_prior().settings == {
        "dim": 16,
        "width": None,
        "depth": 2,
        "heads": 2,
        "head_dim": 8,
        "cross_heads": 8,
        "text_width": 1280,
        "mask_size": 64,
    }


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_prefix_does_not_matter(prefix: str) -> None:
    assert torch.equal(told(released_state(prefix)), told(released_state()))


def test_what_an_old_loader_renamed_does_not_matter() -> None:
    renamed = {name.replace("beta", "bias"): each for name, each in released_state().items()}
    assert "model.noise_scheduler.biass" in renamed
    assert torch.equal(told(renamed), told(released_state()))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_files_and_their_folder(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = released_state()
    if name.endswith(".bin"):
        torch.save(state, tmp_path / name)
    else:
        save_file(state, tmp_path / name)
    for path in (tmp_path, tmp_path / name):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            prior = read_released(path)
        assert len(caplog.messages) == 1 and "not the paper's model" in caplog.messages[0]
        assert not prior.training
        for found, wanted in zip(prior.parameters(), golden_prior().parameters(), strict=True):
            assert torch.equal(found, wanted)


def test_names() -> None:
    assert our_name("transformer.layers.11.1.to_out.1.g") == "blocks.11.cross.out_norm.gain"
    assert our_name("transformer.layers.0.2.0.g") == "blocks.0.feed.norm.gain"
    with pytest.raises(MismatchError, match=r"unknown tensor transformer\.other"):
        our_name("transformer.other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model.net.transformer.project_out.weight": None}, "0 tensors named"),
        ({"model.net.to_text_embeds.0.weight": None}, "lacks 'text.weight'"),
        ({"model.net.transformer.norm.g": None}, r"1 missing \(norm.gain\)"),
        ({"model.net.something": torch.zeros(1)}, "unknown tensor something"),
        (
            {"model.net.transformer.layers.1.0.norm.g": torch.zeros(3)},
            r"blocks.1.attention.norm.gain \[3\] instead of \[16\]",
        ),
    ],
)
def test_other_files_are_refused(
    change: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    state = {**released_state(), **change}
    save_file(
        {name: each for name, each in state.items() if each is not None}, tmp_path / "a.safetensors"
    )
    with pytest.raises(MismatchError, match=rf"no released CompoDiff.*{said}"):
        read_released(tmp_path / "a.safetensors")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VretrError, match=r"no file of weights at .*model\.safetensors"):
        read_released(tmp_path)
