"""φ from files of every layout; what is another thing is named, and never run."""

import json
import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lincir import files
from lincir.composer import LinCIR
from lincir.config import ExportConfig
from lincir.export import export
from lincir.layouts import PIC2WORD_PROMPT
from lincir.model import Phi
from vretr.composers import default_composer, load_composer
from vretr.encoders import PseudoTextEncoder, load_encoder
from vretr.errors import MismatchError, UsageError, VretrError

DIM, WIDTH = 24, 32  # of the tiny CLIP


def state(dim: int = DIM, width: int = WIDTH, prefix: str = "") -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    named = Phi(dim, width).named_parameters()
    return {prefix + name: parameter.detach() for name, parameter in named}


def pic2word(middle: int = 8, layers: int = 2) -> dict[str, torch.Tensor]:
    sizes = [DIM, *[middle] * layers, WIDTH]
    names = [*(f"layers.{number}.0" for number in range(layers)), "fc_out"]
    torch.manual_seed(0)
    tensors = {}
    for name, before, after in zip(names, sizes[:-1], sizes[1:], strict=True):
        tensors[f"module.{name}.weight"] = torch.randn(after, before) / before**0.5
        tensors[f"module.{name}.bias"] = torch.randn(after)
    return tensors


def saved(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "phi.pt"
    torch.save(content, file)
    return file


def test_lincirs_own_file(tmp_path: Path, encoder: PseudoTextEncoder) -> None:
    found = files.load(saved(tmp_path, {"epoch": 20_000, "Phi": state()}), encoder)
    assert isinstance(found, LinCIR) and found.tokens == 1
    assert found.prompt.text == "a photo of $ that {}"
    np.testing.assert_array_equal(found.phi.layers[0].weight, state()["layers.0.weight"])


@pytest.mark.parametrize("prefix", ["", "module."])
def test_searles_checkpoints_with_a_path_in_them(tmp_path: Path, encoder, prefix: str) -> None:
    content = {
        "epoch": 1,
        "Phi": state(prefix=prefix),
        "optimizer": {"state": {}},
        "training_path": pathlib.PosixPath("/somewhere"),
    }
    assert files.load(saved(tmp_path, content), encoder).phi.dim == DIM


def test_pic2words_network_against_its_own_formula(tmp_path: Path, encoder) -> None:
    tensors = pic2word()
    file = saved(
        tmp_path, {"epoch": 1, "name": "x", "state_dict_img2text": tensors, "state_dict": {}}
    )
    found = files.load(file, encoder)
    assert found.prompt.text == PIC2WORD_PROMPT
    x = torch.randn(5, DIM)
    y = x
    for number in range(2):
        weight, bias = (tensors[f"module.layers.{number}.0.{kind}"] for kind in ("weight", "bias"))
        y = torch.relu(y @ weight.T + bias)
    y = y @ tensors["module.fc_out.weight"].T + tensors["module.fc_out.bias"]
    np.testing.assert_allclose(found.phi(x.numpy()), y.numpy(), atol=1e-5)


def test_half_precision_is_read_as_float32(tmp_path: Path, encoder) -> None:
    half = {name: tensor.half() for name, tensor in state().items()}
    phi = files.load(saved(tmp_path, {"Phi": half}), encoder).phi
    assert phi.layers[0].weight.dtype == np.float32


class Evil:
    def __reduce__(self):
        return (print, ("run!",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"Phi": {"layers.0.weight": torch.zeros(2, 2)}}, "it lacks layers.0.bias"),
        ({"Phi": {**state(), "norm.weight": torch.zeros(2)}}, "it has norm.weight"),
        ({"state_dict_img2text": {"module.W_R.weight": torch.zeros(2)}}, "Context-I2W"),
        ({"CLIPTextModelWithProjection": {}}, "RTD's text encoder"),
        ({"image_stream": {}}, "it has no Phi and no state_dict_img2text, but image_stream"),
        ([1, 2], "it holds no dictionary"),
        ({"Phi": {**state(), "layers.3.weight": torch.zeros(7, 5)}}, "do not fit one another"),
        ({"Phi": {**state(), "layers.3.weight": torch.zeros(7)}}, "do not fit one another"),
        ({"Phi": state(), "other": Evil()}, "torch cannot read it safely"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(tmp_path, encoder, content, reason, capsys) -> None:
    with pytest.raises(MismatchError, match=rf"phi.pt cannot be used as a φ: .*{reason}"):
        files.load(saved(tmp_path, content), encoder)
    assert "run!" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_a_text_and_nothing(tmp_path: Path, encoder) -> None:
    file = tmp_path / "phi.pt"
    for content in (pickle.dumps({"Phi": 1}), b"not a checkpoint", b""):
        file.write_bytes(content)
        with pytest.raises(MismatchError, match="cannot be used as a φ"):
            files.load(file, encoder)
    with pytest.raises(UsageError, match="There is no file"):
        files.load(tmp_path / "none.pt", encoder)


def test_searles_single_tokens_are_named(tmp_path: Path, encoder) -> None:
    (tmp_path / "oti_pseudo_tokens.pt").write_bytes(b"")
    with pytest.raises(MismatchError, match="SEARLE's pseudo words of single pictures"):
        files.load(tmp_path, encoder)


def test_another_backbone_is_one_clear_sentence(tmp_path: Path, encoder, clip) -> None:
    file = saved(tmp_path, {"Phi": state(768, 768)})
    with pytest.raises(MismatchError) as refused:
        files.load(file, encoder)
    assert str(refused.value) == (
        f"The φ in {file} makes word embeddings of 768 numbers from vectors of 768, but {clip} "
        "has 32 and 24; its size is that of ViT-L."
    )


def test_an_encoder_without_pseudo_words_is_refused(tmp_path: Path) -> None:
    blind = load_encoder("timm:resnet10t/random")
    with pytest.raises(UsageError, match="takes no pseudo words: take lite"):
        files.load(saved(tmp_path, {"Phi": state()}), blind)


def test_the_backbone_is_guessed_from_its_size(tmp_path: Path, caplog) -> None:
    assert files.backbone_of(saved(tmp_path, {"Phi": state(768, 768)})) == "ViT-L"
    assert "from its 768 numbers ViT-L is taken" in caplog.text
    with pytest.raises(MismatchError, match="no usual one has vectors of 24 numbers"):
        files.backbone_of(saved(tmp_path, {"Phi": state()}))


def own(folder: Path, encoder, *, tokens: int = 1, **about) -> Path:
    file = folder / "own.safetensors"
    phi = Phi(DIM, WIDTH, tokens=tokens)
    phi.length.fill_(2.5)
    card = {"encoder": {"name": encoder.name, "identity": encoder.identity}, **about}
    save_file(phi.state_dict(), file, {"vretr": json.dumps(card)})
    return file


def test_our_own_file_says_what_it_is_for(tmp_path: Path, encoder) -> None:
    found = files.load(own(tmp_path, encoder, tokens=3, prompt="$ , {}", default="mix(0.25)"))
    assert (found.tokens, found.picture_weight, found.is_default) == (3, 0.25, True)
    assert found.prompt.text == "$ , {}" and found.phi.length == 2.5
    assert found.encoder.name == encoder.name


def test_our_own_file_is_refused_by_another_encoder(tmp_path: Path, encoder) -> None:
    file = own(tmp_path, encoder)
    with pytest.raises(MismatchError, match=r"was trained for .*, and lite is another encoder"):
        files.load(file, load_encoder("lite"))


@pytest.mark.parametrize(
    ("card", "is_default", "shares"),
    [
        ("lincir", True, (0, 0)),
        ("sum", False, (0, 0)),
        ("mix(0.4)", True, (0.4, 0)),
        ("mix(0.2, 0.6)", True, (0.2, 0.6)),
    ],
)
def test_the_card_decides_the_default(tmp_path, encoder, card, is_default, shares) -> None:
    found = files.composer(encoder, own(tmp_path, encoder, default=card))
    assert found is not None
    assert (found.is_default, (found.picture_weight, found.words_weight)) == (is_default, shares)


def test_a_card_that_says_something_else(tmp_path: Path, encoder) -> None:
    with pytest.raises(VretrError, match="lincir, sum or mix"):
        files.composer(encoder, own(tmp_path, encoder, default="perhaps"))


def test_the_shipped_one_is_found_by_the_encoders_identity(tmp_path, encoder, monkeypatch) -> None:
    monkeypatch.setattr(files, "SHIPPED", tmp_path)
    assert files.composer(encoder) is None
    own(tmp_path, encoder)
    found = files.composer(encoder, picture_weight=0.5, prompt="$ in {}")
    assert found is not None and found.picture_weight == 0.5 and found.prompt.text == "$ in {}"
    assert files.composer(load_encoder("lite")) is None


def test_a_damaged_file_of_ours(tmp_path: Path, encoder) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(VretrError, match=r"x\.safetensors"):
        files.load(tmp_path / "x.safetensors", encoder)


def test_export_is_read_by_the_authors_code(tmp_path: Path, encoder) -> None:
    """Exactly the keys `epoch` and `Phi`, and the state dict of a plain network loads strictly."""
    file = own(tmp_path, encoder)
    (told,) = export(ExportConfig(source=file, out=tmp_path / "out" / "phi_best.pt"))
    assert told["dim"] == DIM and told["path"].endswith("phi_best.pt")
    content = torch.load(tmp_path / "out" / "phi_best.pt", weights_only=True)
    assert set(content) == {"epoch", "Phi"}
    network = torch.nn.ModuleDict({"layers": Phi(DIM, WIDTH).layers})
    network.load_state_dict(content["Phi"])
    again = files.load(tmp_path / "out" / "phi_best.pt", encoder)
    x = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32) * 3
    np.testing.assert_array_equal(again.phi(x), files.load(file, encoder).phi(x))


def test_pic2words_network_has_no_such_form(tmp_path: Path) -> None:
    file = saved(tmp_path, {"state_dict_img2text": pic2word()})
    with pytest.raises(MismatchError, match="Only φ of LinCIR's"):
        export(ExportConfig(source=file, out=tmp_path / "x.pt"))


def test_the_name_of_a_method_is_no_folder(tmp_path: Path, encoder, monkeypatch) -> None:
    monkeypatch.setattr(files, "SHIPPED", tmp_path)
    own(tmp_path, encoder)
    (tmp_path / "lincir").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_composer("lincir", encoder).name == "lincir"
    with pytest.raises(MismatchError, match="no run"):
        load_composer("./lincir", encoder)


def test_what_is_shipped_is_for_lite_as_it_is_and_knows_what_a_picture_shows() -> None:
    lite = load_encoder("lite")
    composer, choice = default_composer(lite)
    assert composer.name == "lincir" and choice == ("sum", "lincir")
    # The pseudo word of a sentence's vector stands for that sentence and for no other.
    said = [
        *("a dog runs in the snow", "two women play tennis", "a red car in the street"),
        *("children swim in a pool", "a man climbs a rock", "a table with food"),
    ]
    vectors = lite.encode_texts(said)
    words = composer.phi(vectors)
    read = lite.encode_with([("a photo of ", "")] * len(said), words)
    assert (read @ vectors.T).argmax(1).tolist() == list(range(len(said)))
