import subprocess
import sys
from pathlib import Path

import pytest

from vretr.encoders import catalogue, names
from vretr.encoders.names import parse
from vretr.errors import MismatchError, UsageError


@pytest.mark.parametrize(
    ("name", "kind", "model", "tag"),
    [
        ("lite", "lite", "", ""),
        (" lite\n", "lite", "", ""),
        ("lite-free", "lite", "free", ""),
        ("ViT-B", "open_clip", "ViT-B-32-quickgelu", "openai"),
        ("ViT-L", "open_clip", "ViT-L-14-quickgelu", "openai"),
        ("ViT-H", "open_clip", "ViT-H-14", "laion2b_s32b_b79k"),
        ("ViT-G", "open_clip", "ViT-bigG-14", "laion2b_s39b_b160k"),
        ("ViT-B-16/datacomp_xl_s13b_b90k", "open_clip", "ViT-B-16", "datacomp_xl_s13b_b90k"),
        ("ViT-B-16/DataComp-XL-s13b-b90k", "open_clip", "ViT-B-16", "datacomp_xl_s13b_b90k"),
        ("ViT-B/32/laion2b_e16", "open_clip", "ViT-B-32", "laion2b_e16"),
        ("RN50/random", "open_clip", "RN50", "random"),
        ("hf-hub:laion/CLIP-x", "hf-hub", "laion/CLIP-x", ""),
        ("timm:resnet18", "timm", "resnet18", ""),
        ("timm:resnet18.a1_in1k/random", "timm", "resnet18.a1_in1k", "random"),
    ],
)
def test_one_grammar(name: str, kind: str, model: str, tag: str) -> None:
    spec = parse(name)
    assert (spec.kind, spec.model, spec.tag, spec.path) == (kind, model, tag, None)
    assert parse(spec.name) == spec


def test_a_file_is_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a@b" / "w.safetensors"
    for name in ("ViT-B-32@a@b/w.safetensors", f"ViT-B-32@{file}"):
        spec = parse(name)
        assert (spec.kind, spec.model, spec.path) == ("open_clip", "ViT-B-32", file)
        assert spec.name == f"ViT-B-32@{file}"
    assert parse("timm:resnet18@w.pt").name == f"timm:resnet18@{tmp_path / 'w.pt'}"
    assert parse("local-dir:here").name == f"local-dir:{tmp_path / 'here'}"
    assert parse("lite@here").path == tmp_path / "here"


def test_a_run_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "x"
    run.mkdir(parents=True)
    with pytest.raises(MismatchError, match=r"no run\.json"):
        parse(str(run))
    (run / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert parse("runs/x").path == parse(run).path == run
    with pytest.raises(MismatchError, match="no Run at"):
        parse(Path("runs/y"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ViT-B-32/openai", "write ViT-B-32-quickgelu/openai"),
        ("ViT-B-16/dfn2b", "write ViT-B-16-quickgelu/dfn2b"),
        ("ViT-L-14/metaclip_400m", "write ViT-L-14-quickgelu/metaclip_400m"),
        ("RN50/openai", "write RN50-quickgelu/openai"),
        ("lit", "did you mean lite"),
        ("vit-b", "did you mean ViT-B"),
        ("ViT-B-32/laion2b_s34b_b79", "laion2b"),
        ("ViT-B-32", "ViT-B-32/"),
        ("ViT-B-32-plus-256", "no weights for it"),
        ("ViT-B-32-256/openai", "datacomp_s34b_b86k"),
        ("ViT-B16/datacomp_xl_s13b_b90k", "ViT-B-16/datacomp_xl_s13b_b90k"),
        ("zzzzzzzz", "lite, ViT-B"),
        ("", "There is no encoder ''"),
        ("hf-hub:", "hf-hub:ORG/NAME"),
        ("hf-hub:model", "hf-hub:ORG/NAME"),
        ("local-dir: ", "local-dir:FOLDER"),
        ("timm:", "timm:NAME"),
        ("timm:resnet18/a1_in1k", r"timm:resnet18\.a1_in1k"),
        ("ViT-B-32@", "file of weights"),
        ("[red]x[/red]", "There is no encoder"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse(name)


def test_open_clips_tables_are_read_as_open_clip_reads_them() -> None:
    import open_clip
    from open_clip.pretrained import _PRETRAINED

    assert catalogue.weights() == _PRETRAINED
    assert set(catalogue.architectures()) >= set(open_clip.list_models())
    assert catalogue.architecture("ViT-B-32") == open_clip.get_model_config("ViT-B-32")
    wrong = {"/".join(pair) for pair in open_clip.list_pretrained()} - set(catalogue.pairs())
    assert {"ViT-B-32/openai", "ViT-B-16/dfn2b", "RN50/yfcc15m"} <= wrong
    assert all(f"{pair.replace('/', '-quickgelu/')}" in catalogue.pairs() for pair in wrong)
    assert open_clip.OPENAI_DATASET_MEAN == catalogue.OPENAI_MEAN
    assert open_clip.OPENAI_DATASET_STD == catalogue.OPENAI_STD


def test_every_known_name_can_be_parsed_and_imports_no_torch() -> None:
    program = (
        "import sys; from vretr.encoders import names;"
        "assert len([names.parse(name) for name in names.known_names()]) > 150;"
        "heavy = {'torch', 'open_clip', 'timm', 'huggingface_hub'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert names.known_names()[:6] == ["lite", "lite-free", "ViT-B", "ViT-L", "ViT-H", "ViT-G"]


def test_the_recommended_encoders_are_as_their_cards_say() -> None:
    import timm

    from vretr.encoders.sources import sources

    for card in catalogue.CARDS:
        spec = parse(card.name)
        if spec.kind == "open_clip":
            assert catalogue.architecture(spec.model)["embed_dim"] == card.dim
        elif spec.kind == "timm":
            config = timm.get_pretrained_cfg(spec.model)
            assert config is not None
            assert sources(spec)[0].repository == config.hf_hub_id
            assert (config.hf_hub_filename or "pytorch_model.bin") == "pytorch_model.bin"
        else:
            from vretr.encoders.lite.shape import DIM

            assert (spec.kind, card.dim) == ("lite", DIM)


@pytest.mark.parametrize(
    ("name", "tower", "pooling"),
    [
        ("lite+gem", "lite", "gem"),
        ("timm:vit_small/random+ggem:p=3.5", "timm:vit_small/random", "ggem:p=3.5"),
        ("ViT-B+cls,avg", "ViT-B", "cls,avg"),
        ("ViT-B/32/random+max", "ViT-B-32/random", "max"),
        ("hf-hub:laion/CLIP-x+avg", "hf-hub:laion/CLIP-x", "avg"),
        ("lite+cls,ggem:groups=4,p=2,avg", "lite", "cls,ggem:groups=4,p=2,avg"),
    ],
)
def test_a_pooling_behind_a_name(name: str, tower: str, pooling: str) -> None:
    spec, plain = parse(name), parse(tower)
    assert (spec.tower, spec.pooling) == (plain.name, pooling)
    assert (spec.kind, spec.model, spec.tag) == (plain.kind, plain.model, plain.tag)
    assert parse(spec.name) == spec
    assert plain.tower == plain.name


def test_paths_may_have_a_plus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = "timm:resnet18@a+b/w.safetensors"
    assert parse(file).pooling == ""
    assert parse(f"{file}+gem").tower == f"timm:resnet18@{tmp_path}/a+b/w.safetensors"
    for name in ("run+gem", "run+max,avg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
        assert parse(name).path == tmp_path / name
    (tmp_path / "w+gem").write_text("")
    assert parse("timm:resnet18@w+gem").path == tmp_path / "w+gem"
    assert parse("local-dir:run+gem").path == tmp_path / "run+gem"
    assert parse("timm:resnet18@c+gem").path == tmp_path / "c"  # there is no file c+gem


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lite+gme", "no pooling 'gme'; did you mean gem"),
        ("lite+", r"There is no encoder 'lite\+'"),
        ("lit+gem", "did you mean lite"),
        ("lite+avg+max", r"are written lite\+avg,max"),
    ],
)
def test_a_pooling_that_cannot_be_meant(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse(name)


def test_a_run_keeps_its_pooling(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"leave \+gem away"):
        parse(f"{tmp_path}+gem")


def test_a_pooling_is_said_once() -> None:
    assert names.with_pooling("lite", "gem") == "lite+gem"
    assert names.with_pooling("lite+gem", "gem") == "lite+gem"
    with pytest.raises(UsageError, match=r"leave \+gem away"):
        names.with_pooling("lite+gem", "max")
