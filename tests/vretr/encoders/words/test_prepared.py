"""The text towers in NumPy against open_clip's own, family by family."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.vretr.encoders.tiny import MODEL, reference, tiny_clip
from vretr.encoders import load_encoder
from vretr.encoders.openclip import OpenClip

TEXTS = [
    "a dog",
    "",
    "two cats, one of them black, on a sofa beside the window, and a bird that nobody sees at all",
    "a dog",
    "naïve café & 東京 ☃",
]
TEXT = MODEL["text_cfg"]


def text(**changes: Any) -> dict[str, Any]:
    return {"custom_text": True, "text_cfg": TEXT | changes}


# What open_clip's architectures have in their configurations, at a tiny size.
FAMILIES: dict[str, dict[str, Any]] = {
    "CLIP": {},
    "CLIP quickgelu": {"quick_gelu": True},
    "EVA, ViTamin, PE-Core": text(context_length=12),
    "MobileCLIP-B": text(no_causal_mask=False),
    "MobileCLIP-S": text(no_causal_mask=True),
    "SigLIP": text(
        no_causal_mask=True, pool_type="last", proj_bias=True, norm_kwargs={"eps": 1e-2}
    ),
    "SigLIP2": text(
        no_causal_mask=True, pool_type="last", proj_bias=True, act_kwargs={"approximate": "tanh"}
    ),
    "SigLIP i18n": {
        **text(no_causal_mask=True, pool_type="last", proj_type="none"),
        "embed_dim": 32,
    },
    "CLIPA": {"text_cfg": TEXT | {"no_causal_mask": True, "pool_type": "last"}},
    "worldwide": {"text_cfg": TEXT | {"pool_type": "eos", "eos_id": 49407}},
    "CoCa": text(embed_cls=True, output_tokens=True),
    "first": text(no_causal_mask=True, pool_type="first"),
    "last, causal": text(pool_type="last"),
    "layer scale": text(ls_init_value=0.5, mlp_ratio=2.5),
}


def load(folder: Path, **settings: Any) -> OpenClip:
    encoder = load_encoder(f"local-dir:{folder}", **settings)
    assert isinstance(encoder, OpenClip)
    return encoder


def unit(rows: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(rows.detach().float(), dim=-1).numpy()


def stirred(folder: Path) -> Path:
    """Weights of a trained model's size in place of the initial ones, which differ so little from
    the identity that a wrong mask would pass."""
    path = folder / "open_clip_model.safetensors"
    draws = torch.Generator().manual_seed(5)
    state = load_file(path)
    for name, tensor in state.items():
        if not name.startswith("visual") and tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=draws)
            state[name] = tensor + noise * (0.3 if tensor.ndim < 2 else 0.25)
    save_file(state, path)
    return folder


def of_open_clip(folder: Path) -> np.ndarray:
    model = reference(folder)
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    with torch.inference_mode():
        read = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS))
    return unit(read[0] if isinstance(read, tuple) else read)


@pytest.mark.parametrize("family", FAMILIES)
def test_as_open_clip_reads(family: str, tmp_path: Path) -> None:
    folder = stirred(tiny_clip(tmp_path / "m", **FAMILIES[family]))
    load(folder).prepare_texts()
    encoder = load(folder)
    found = encoder.encode_texts(TEXTS)
    assert encoder._words is not None
    assert "_texts" not in vars(encoder)
    np.testing.assert_allclose(found, of_open_clip(folder), atol=2e-5)
    assert found.dtype == np.float32
    alone = np.concatenate([encoder.encode_texts([one]) for one in TEXTS])
    np.testing.assert_allclose(alone, found, atol=2e-5)
