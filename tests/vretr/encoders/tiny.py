"""A tiny CLIP on disk as open_clip writes one: real code paths in a tenth of a second."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

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
