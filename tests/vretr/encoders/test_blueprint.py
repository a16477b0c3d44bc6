import json
import logging
from pathlib import Path

import pytest

from vretr.encoders.blueprint import blueprint
from vretr.encoders.names import parse
from vretr.errors import UsageError, VretrError


def of_file(name: str, file: Path) -> object:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return blueprint(parse(f"{name}@{file}"))


@pytest.mark.parametrize(
    "file",
    [
        "ViT-B-32.pt",  # as OpenAI named it
        "vit_b32-openai.safetensors",
        "ViT-B-32_metaclip_400m.safetensors",
        "b32_fullcc2.5b.pt",  # as MetaCLIP named it
        "models--timm--vit_base_patch32_clip_224.openai/snapshots/1/open_clip_model.safetensors",
        "timm/vit_base_patch32_clip_224.metaclip_400m/open_clip_model.safetensors",
    ],
)
def test_weights_of_quickgelu_are_refused_elsewhere(file: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="write ViT-B-32-quickgelu@"):
        of_file("ViT-B-32", tmp_path / file)
    of_file("ViT-B-32-quickgelu", tmp_path / file)


@pytest.mark.parametrize("file", ["vit_b_32-laion2b_e16-af8dbd0c.pth", "laion2b_s34b_b79k.bin"])
def test_weights_of_exact_gelu_are_refused_for_quickgelu(file: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="write ViT-B-32@"):
        of_file("ViT-B-32-quickgelu", tmp_path / file)
    of_file("ViT-B-32", tmp_path / file)


@pytest.mark.parametrize(
    ("name", "mean", "fit", "interpolation", "size"),
    [
        ("ViT-L-14/laion2b_s32b_b82k", 0.5, "crop", "bicubic", 224),
        ("ViT-L-14/datacomp_xl_s13b_b90k", 0.48145466, "crop", "bicubic", 224),
        ("ViT-H-14-378-quickgelu/dfn5b", 0.48145466, "squash", "bicubic", 378),
        ("ViT-B-32-SigLIP2-256/webli", 0.5, "squash", "bicubic", 256),
        ("PE-Core-S-16-384/meta", 0.5, "squash", "bilinear", 384),
        ("MobileCLIP2-S2/dfndr2b", 0.0, "crop", "bilinear", 256),
        ("MobileCLIP2-S3/dfndr2b", 0.48145466, "crop", "bilinear", 256),
    ],
)
def test_preprocessing_is_that_of_the_weights(
    name: str, mean: float, fit: str, interpolation: str, size: int, tmp_path: Path
) -> None:
    model, _, tag = name.partition("/")
    design = of_file(model, tmp_path / f"{tag}.safetensors")
    found = design.preprocessing
    assert (found.mean[0], found.fit, found.interpolation, found.size) == (
        mean,
        fit,
        interpolation,
        size,
    )


def test_a_file_nobody_knows_takes_what_all_weights_of_its_architecture_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert of_file("ViT-B-16-SigLIP2", tmp_path / "x.safetensors").preprocessing.fit == "squash"
    assert not caplog.records


def test_a_file_nobody_knows_is_warned_of_where_weights_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = of_file("ViT-L-14", tmp_path / "x.safetensors").preprocessing
    assert found.mean[0] == 0.48145466
    assert "open_clip_config.json" in caplog.text
    caplog.clear()
    card = {"preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "longest"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(card))
    found = of_file("ViT-L-14", tmp_path / "x.safetensors").preprocessing
    assert (found.mean, found.fit, found.interpolation) == ((0.5,) * 3, "pad", "bicubic")
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "There is no open_clip_config.json"), ("{", "not JSON"), ("{}", "does not describe")],
)
def test_a_folder_without_its_description(text: str | None, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    if text is not None:
        (tmp_path / "open_clip_config.json").write_text(text)
    with pytest.raises(VretrError, match=says):
        blueprint(parse(f"local-dir:{tmp_path}"))
