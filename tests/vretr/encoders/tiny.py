"""A tiny CLIP on disk as open_clip writes one: real code paths in a tenth of a second."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file, save_file

MODEL: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}

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
    "SigLIP": text(no_causal_mask=True, pool_type="last", proj_bias=True, norm_kwargs={"eps": 0.5}),
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


def tiny_clip(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Writes config and weights into `folder`; `changes` go into the model's config."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL | changes, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(reference(folder, seed=seed).state_dict(), folder / "open_clip_model.safetensors")
    return folder


def reference(folder: Path, *, seed: int = 0) -> Any:
    """The same model as open_clip itself builds it from the config, at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    return model.eval()


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
