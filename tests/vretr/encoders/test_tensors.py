import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vretr.encoders.tensors import digest, load_strictly, open_tensors, remembered_digest
from vretr.errors import VretrError

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1.5, -2.0])}


def same(found: object) -> bool:
    return digest(found) == digest(TENSORS)


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 3, "name": "run", "optimizer": {"lr": 0.1}},
        {"model": TENSORS},
        {f"module.{name}": tensor for name, tensor in TENSORS.items()},
    ],
    ids=["plain", "checkpoint", "model", "data-parallel"],
)
def test_torchs_format(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert same(open_tensors(tmp_path / "x.pt"))


def test_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")
    assert same(open_tensors(tmp_path / "x.safetensors"))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("touch pwned",))


@pytest.mark.parametrize("file", ["x.pt", "x.bin", "x.pth"])
def test_a_pickle_is_not_run(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": Evil()}}, tmp_path / file)
    with pytest.raises(VretrError, match="cannot be read as weights"):
        open_tensors(tmp_path / file)
    (tmp_path / file).write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(VretrError, match="cannot be read as weights"):
        open_tensors(tmp_path / file)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_torchscript_is_refused_in_a_sentence(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / "x.pt"))
    with pytest.raises(VretrError, match=r"TorchScript.*safetensors"):
        open_tensors(tmp_path / "x.pt")


@pytest.mark.parametrize("file", ["x.safetensors", "x.pt"])
def test_what_is_no_file_of_tensors(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    with pytest.raises(VretrError, match="no file of weights"):
        open_tensors(path)
    for content in (b"", b"GIT LFS pointer, not the file", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(VretrError, match="cannot be read as weights"):
            open_tensors(path)


def test_the_digest_is_that_of_the_values() -> None:
    assert same({name: TENSORS[name] for name in ("a", "b")})
    assert same({name: tensor.half() for name, tensor in TENSORS.items()})
    assert same({name: tensor.bfloat16() for name, tensor in TENSORS.items()})
    assert same({"b": TENSORS["b"].T.contiguous().T, "a": TENSORS["a"]})
    assert not same({**TENSORS, "a": torch.tensor([1.5, -2.0001])})
    assert not same({"b": TENSORS["b"].reshape(3, 2), "a": TENSORS["a"]})
    assert not same({"c": TENSORS["b"], "a": TENSORS["a"]})


def test_a_digest_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path)
    first = remembered_digest(path, lambda: open_tensors(path))
    assert first == digest(TENSORS)
    content = path.read_bytes()
    assert remembered_digest(path, dict) == first  # not read again
    path.write_bytes(content[:-1] + b"\x7f")
    os.utime(path, ns=(1, 1))
    second = remembered_digest(path, lambda: open_tensors(path))
    assert second == digest(open_tensors(path)) != first
    (note,) = (tmp_path / "home" / "digests").iterdir()
    note.write_text("{half")
    assert remembered_digest(path, lambda: open_tensors(path)) == second


def test_every_tensor_has_its_place() -> None:
    layer = nn.Linear(2, 3)
    whole = {"weight": torch.ones(3, 2, dtype=torch.float16), "bias": torch.zeros(3)}
    load_strictly(layer, whole, what="x")
    assert layer.weight.dtype == torch.float32
    assert layer.weight.eq(1).all()
    for tensors, says in (
        ({"weight": torch.ones(3, 2)}, r"1 missing \(bias\)"),
        ({**whole, "more": torch.ones(1)}, r"1 too many \(more\)"),
        ({**whole, "bias": torch.zeros(4)}, r"of another shape \(bias \[4\] instead of \[3\]\)"),
    ):
        with pytest.raises(VretrError, match=says):
            load_strictly(layer, tensors, what="x")
