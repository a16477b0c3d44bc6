"""Towers and tokenizers that open_clip borrows from transformers, made small and without a hub."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip import model as towers
from open_clip.tokenizer import HFTokenizer
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.vretr.encoders.tiny import MODEL, PREPROCESS
from vretr.encoders import load_encoder
from vretr.encoders.openclip import OpenClip

TEXTS = ["a Dog", "", "two cats, one of them black; on a sofa " * 3, "dog_house &amp; caf\u00e9"]
WORDS = ["a", "dog", "Dog", "two", "cats", "one", "of", "black", "on", "sofa", "dog_house", "café"]
WORDS += ["them", ";", "&", "house", "doghouse"]

SHAPE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
ROBERTA = SHAPE | {
    "intermediate_size": 48,
    "vocab_size": 40,
    "max_position_embeddings": 64,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
MT5 = {
    "model_type": "mt5",
    "d_model": 32,
    "d_kv": 6,  # heads that together are narrower than the model
    "d_ff": 40,
    "num_layers": 3,
    "num_heads": 4,
    "vocab_size": 40,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}
NLLB = {
    "model_type": "m2m_100",
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "vocab_size": 40,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "activation_function": "relu",
    "pad_token_id": 1,
}
# The transformer's configuration, open_clip's text_cfg, and the id of padding.
FAMILIES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], int]] = {
    "xlm-roberta": ({"model_type": "xlm-roberta"} | ROBERTA, {"hf_pooler_type": "mean_pooler"}, 1),
    "coca_roberta": (
        {"model_type": "roberta"} | ROBERTA,
        {"hf_proj_type": "linear", "output_tokens": True},
        1,
    ),
    "mt5": (MT5, {"hf_pooler_type": "mean_pooler"}, 0),
    "nllb": (NLLB, {"hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"}, 1),
    "SigLIP": (
        None,
        {
            "no_causal_mask": True,
            "pool_type": "last",
            "proj_bias": True,
            "tokenizer_kwargs": {"clean": "canonicalize"},
        },
        1,
    ),
    "CLIPA": (
        None,
        {
            "no_causal_mask": True,
            "pool_type": "last",
            "tokenizer_kwargs": {"strip_sep_token": True},
        },
        0,
    ),
    "worldwide": (None, {"pool_type": "eos", "eos_id": 3}, 1),
}


def tokenizer_in(folder: Path, *, pad: int) -> None:
    """A tokenizer of whole words with start, end and padding, as transformers saves one."""
    names = ["<pad>", "<s>"] if pad == 0 else ["<s>", "<pad>"]
    vocabulary = {word: number for number, word in enumerate([*names, "<unk>", "</s>", *WORDS])}
    tokenizer: Any = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", 3)]
    )
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(str(folder))


def made(folder: Path, family: str) -> tuple[Path, torch.nn.Module]:
    """A model of the family in `folder`, and its text tower."""
    borrowed, changes, pad = FAMILIES[family]
    folder.mkdir()
    tokenizer_in(folder, pad=pad)
    text = {"context_length": 12, "vocab_size": 40, "width": 32, "heads": 4, "layers": 2, **changes}
    text["hf_tokenizer_name"] = str(folder)
    if borrowed:
        (folder / "hf").mkdir()
        (folder / "hf" / "config.json").write_text(json.dumps(borrowed))
        text |= {"hf_model_name": str(folder / "hf"), "hf_model_pretrained": False}
    config = MODEL | {"custom_text": True, "text_cfg": text}
    card = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(card))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = towers._build_text_tower(config["embed_dim"], text).eval().requires_grad_(False)
        visual = towers._build_vision_tower(config["embed_dim"], config["vision_cfg"])
        for tensor in tower.state_dict().values():  # as far from the identity as trained weights
            if tensor.is_floating_point():
                tensor += torch.randn(tensor.shape) * (0.3 if tensor.ndim < 2 else 0.2)
    state = {f"text.{name}": value for name, value in tower.state_dict().items()}
    state |= {f"visual.{name}": value for name, value in visual.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder, tower


def load(folder: Path) -> OpenClip:
    encoder = load_encoder(f"local-dir:{folder}")
    assert isinstance(encoder, OpenClip)
    return encoder


@pytest.mark.parametrize("family", FAMILIES)
def test_as_open_clip_reads(family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, tower = made(tmp_path / "m", family)
    with caplog.at_level(logging.INFO):
        assert load(folder).prepare_texts(), caplog.text
    settings = FAMILIES[family][1].get("tokenizer_kwargs", {})
    tokenizer = HFTokenizer(str(folder), context_length=12, **settings)
    output = tower(tokenizer(TEXTS))
    expected = torch.nn.functional.normalize(output[0] if isinstance(output, tuple) else output)
    encoder = load(folder)
    found = encoder.encode_texts(TEXTS)
    assert "_texts" not in vars(encoder)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[:1]), expected[:1].numpy(), atol=2e-5)
    assert (expected[:3] @ expected[:3].T).triu(1).max() < 0.9999  # sentences can be told apart


def test_another_tokenizer_is_another_model(tmp_path: Path) -> None:
    folder, _ = made(tmp_path / "m", "SigLIP")
    assert load(folder).prepare_texts()
    assert load(folder)._words is not None
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"cats"', '"dogs"'))
    assert load(folder)._words is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "roberta", "hidden_act": "silu"}, "the activation silu"),
        ({"model_type": "bert"}, "bert"),
    ],
)
def test_what_numpy_has_not_been_taught(
    change: dict[str, Any], says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    FAMILIES["other"] = (ROBERTA | change, {"hf_pooler_type": "mean_pooler"}, 1)
    folder, _ = made(tmp_path / "m", "other")
    del FAMILIES["other"]
    encoder = load(folder)
    with caplog.at_level(logging.INFO):
        assert not encoder.prepare_texts()
    assert "will need torch" in caplog.text
    assert says in caplog.text
    assert encoder.encode_texts(TEXTS).shape == (4, 24)  # torch reads them
    assert not list((tmp_path / "home" / "words").glob("**/*"))
