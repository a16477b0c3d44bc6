import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from vretr.encoders import load_encoder, loading, names
from vretr.errors import MismatchError, UsageError
from vretr.methods import Method


def run(folder: Path, kind: str) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"method": "mine", "kind": kind}))
    (folder / "model.safetensors").touch()
    return folder


def test_a_run_is_loaded_by_its_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{__name__}:made"
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(made=made))
    mine = Method(name="mine", summary="", load=place)
    monkeypatch.setattr("vretr.training.run.method", {"mine": mine}.__getitem__)
    folder = run(tmp_path / "x", "encoder")
    for name in (folder, str(folder)):
        assert load_encoder(name, device="cpu") == (folder, "cpu")
    with pytest.raises(MismatchError, match="holds a composer, not an encoder"):
        load_encoder(run(tmp_path / "y", "composer"))


def made(path: Path, device: str) -> tuple[Path, str]:
    return path, device


def test_somebody_elses_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", "builtins:dict", names.GROUP)

    def points(*, group: str, name: str = "theirs") -> list[EntryPoint]:
        assert group == names.GROUP
        return [point] if name == "theirs" else []

    monkeypatch.setattr(names, "entry_points", points)
    monkeypatch.setattr(loading, "entry_points", points)
    found = load_encoder("theirs", device="cpu", precision="fp32")
    assert found == {"device": "cpu", "precision": "fp32"}
    with pytest.raises(UsageError, match="did you mean theirs"):
        load_encoder("their")


def test_words_for_lite_import_no_torch() -> None:
    program = (
        "import sys; from vretr.encoders import load_encoder; load_encoder('lite');"
        "heavy = {'torch', 'torchvision', 'open_clip', 'timm', 'transformers'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
