"""`vretr encoders` in real processes."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vretr
from vretr.encoders.lite import terms

REPOSITORY = "models--timm--vit_base_patch32_clip_224.openai"


@pytest.fixture
def caches(tmp_path: Path) -> dict[str, str]:
    return {"VRETR_HOME": str(tmp_path / "home"), "HF_HUB_CACHE": str(tmp_path / "hub")}


def put(
    caches: dict[str, str],
    model: str = "vit_base_patch32_clip_224.openai",
    name: str = "open_clip_model.safetensors",
) -> Path:
    """A file of weights (2 MB of zeros), ViT-B's unless told, where a person would put it."""
    folder = Path(caches["VRETR_HOME"], "weights/timm", model)
    folder.mkdir(parents=True)
    (folder / name).write_bytes(bytes(2_000_000))
    return folder / name


def test_the_list(vretr: Vretr, caches: dict[str, str]) -> None:
    ended = vretr("encoders", env=caches)
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert [row[0] for row in rows[:6]] == ["lite", "lite-free", "ViT-B", "ViT-L", "ViT-H", "ViT-G"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["ViT-B"] == ["512", "605", "yes", "no", "MIT"]
    assert by_name["MobileCLIP2-S2/dfndr2b"][-1] == "Apple research, non-commercial"
    assert "Flickr8k" in by_name["lite"][-1] and "non-commercial" in by_name["lite"][-1]
    assert by_name["lite-free"][-1] == "Apache-2.0"
    assert by_name["timm:vit_small_patch14_dinov2.lvd142m"][2] == "no"
    assert by_name["lite"][3] == "yes"


def test_json_says_where_a_file_is(vretr: Vretr, caches: dict[str, str]) -> None:
    file = put(caches)
    rows = [json.loads(line) for line in vretr("encoders", "--json", env=caches).out.splitlines()]
    (row,) = (row for row in rows if row["name"] == "ViT-B")
    assert row == {
        "name": "ViT-B",
        "dim": 512,
        "megabytes": 2,
        "reads_text": True,
        "licence": "MIT",
        "commercial": True,
        "present": True,
        "path": str(file),
        "note": "OpenAI's CLIP",
    }
    present = [row["name"] for row in rows if row["present"]]
    assert present == ["lite", *["lite-free"] * terms.path("free").exists(), "ViT-B"]


def test_all_of_open_clip(vretr: Vretr, caches: dict[str, str]) -> None:
    ended = vretr("encoders", "--all", env=caches)
    names = [line.split("\t")[0] for line in ended.out.splitlines()]
    assert ended.code == 0
    assert len(names) == len(set(names)) > 170
    assert {"RN50-quickgelu/openai", "ViT-B-16-SigLIP/webli"} <= set(names)


def test_the_list_is_made_without_torch(vretr: Vretr, caches: dict[str, str]) -> None:
    program = (
        "import sys; from cli.main import command, run; run(command(), ['encoders', '--all']);"
        "heavy = {'torch', 'open_clip', 'timm', 'huggingface_hub'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    ended = vretr(env=caches, python=("-c", program))
    assert ended.code == 0, ended.err


def test_pull_offline_says_what_to_put_where(vretr: Vretr, caches: dict[str, str]) -> None:
    ended = vretr("--offline", "encoders", "pull", "ViT-B", env=caches)
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert f"{caches['VRETR_HOME']}/weights/timm/vit_base_patch32_clip_224.openai" in ended.err
    assert "open_clip_model.safetensors" in ended.err


def test_pull_of_what_is_here(vretr: Vretr, caches: dict[str, str]) -> None:
    model = "vit_small_patch14_dinov2.lvd142m"  # has no words to prepare, which takes torch
    file = put(caches, model, "model.safetensors")
    ended = vretr("encoders", "pull", f"timm:{model}", "--offline", env=caches)
    assert (ended.code, Path(caches["VRETR_HOME"]).parent / ended.out.strip()) == (0, file)
    assert ended.err.splitlines() == ["model.safetensors: 2 MB, licence: Apache-2.0."]


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("lite", 0, "nothing to fetch"),
        ("ViT-B-32/random", 2, "nothing to fetch"),
        ("ViT-B-32@x.pt", 2, "nothing to fetch"),
        ("vit-b", 2, "did you mean ViT-B"),
        ("ViT-B-32/openai", 2, "ViT-B-32-quickgelu/openai"),
    ],
)
def test_pull_of_what_is_not_fetched(
    name: str, code: int, says: str, vretr: Vretr, caches: dict[str, str]
) -> None:
    ended = vretr("encoders", "pull", name, "--offline", env=caches)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err
