"""Named tensors in files: safetensors, or torch's format read with `weights_only=True`.

Nothing here runs code from a file: TorchScript archives and pickles of objects are refused.
"""

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np

from vretr import paths
from vretr.errors import VretrError

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)


def open_tensors(path: Path) -> Mapping[str, "Tensor"]:
    """The tensors of a file by name; from safetensors each is read when asked for.

    A training checkpoint's `state_dict` is taken out of it, and the `module.` that data-parallel
    training puts before every name is left away.

    Raises:
        VretrError: the file is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise VretrError(f"There is no file of weights at {paths.display(path)}.")
    try:
        found = _Safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    except _damage() as error:
        reason = (str(error).splitlines() or ["it ends too early"])[0]
        raise VretrError(f"{paths.display(path)} cannot be read as weights: {reason}") from error
    if found and all(name.startswith("module.") for name in found):
        return Renamed(found, {name.removeprefix("module."): name for name in found})
    return found


class Renamed(Mapping[str, "Tensor"]):
    """Some tensors of a file under other names; still read when asked for."""

    def __init__(self, tensors: Mapping[str, "Tensor"], names: Mapping[str, str]) -> None:
        """`names`: new name -> old name."""
        self._tensors, self._names = tensors, names

    def __getitem__(self, name: str) -> "Tensor":
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Safetensors(Mapping[str, "Tensor"]):
    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self._file = safe_open(path, framework="pt")
        self._names = list(self._file.keys())

    def __getitem__(self, name: str) -> "Tensor":
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _torch_file(path: Path) -> dict[str, "Tensor"]:
    import torch

    if _is_torchscript(path):
        raise VretrError(
            f"{paths.display(path)} is a TorchScript archive, a program and not only weights; "
            "it is not run. Take the safetensors file of the same model."
        )
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise VretrError(f"{paths.display(path)} holds no tensors by name.")
    return {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _damage() -> tuple[type[Exception], ...]:
    from safetensors import SafetensorError

    return (SafetensorError, UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile)


def load_strictly(module: "nn.Module", tensors: Mapping[str, "Tensor"], *, what: str) -> None:
    """Copies the tensors into the module; every one must have its place, and every place its one.

    Raises:
        VretrError: names or shapes differ; the message shows the first few.
    """
    tensors = dict(tensors)
    places = module.state_dict()
    missing = [name for name in places if name not in tensors]
    extra = [name for name in tensors if name not in places]
    other = [
        f"{name} {list(tensors[name].shape)} instead of {list(place.shape)}"
        for name, place in places.items()
        if name in tensors and tensors[name].shape != place.shape
    ]
    problems = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in (("missing", missing), ("too many", extra), ("of another shape", other))
        if names
    ]
    if problems:
        raise VretrError(f"These weights do not fit {what}: tensors {'; '.join(problems)}.")
    module.load_state_dict(tensors)


def digest(tensors: Mapping[str, "Tensor"]) -> str:
    """Fingerprint of names, shapes and values, whatever the file, its order or its dtype.

    Values are compared as float32: a file that stores float32 numbers which float16 can hold has
    the same digest as its float16 twin.
    """
    hasher = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        values = (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
        hasher.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        hasher.update(np.ascontiguousarray(values).data)
    return hasher.hexdigest()


def remembered_digest(path: Path, tensors: Callable[[], Mapping[str, "Tensor"]]) -> str:
    """`digest` of a file's tensors, kept in VRETR_HOME for as long as size and mtime stay.

    A query that only asks whether an index fits its encoder need not read 600 MB again.
    """
    if known := known_digest(path):
        return known
    stamp, note = _stamp(path)
    found = digest(tensors())
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with paths.atomic_write(note) as file:
            file.write(json.dumps({**stamp, "digest": found}).encode())
    except OSError as error:
        log.info("The digest of %s is not remembered: %s", path.name, error)
    return found


def known_digest(path: Path) -> str | None:
    """The digest of a file's tensors if it is remembered; imports no torch.

    Raises:
        OSError: there is no such file.
    """
    stamp, note = _stamp(path)
    known = _read(note)
    if known and known == {**stamp, "digest": known.get("digest")}:
        return str(known["digest"])
    return None


def _stamp(path: Path) -> tuple[dict[str, Any], Path]:
    """What a file looks like from outside, and where its digest is noted."""
    status = path.stat()
    place = os.fspath(path.resolve())
    key = hashlib.blake2b(os.fsencode(place), digest_size=16)
    note = paths.home() / "digests" / f"{key.hexdigest()}.json"
    return {"path": place, "size": status.st_size, "mtime_ns": status.st_mtime_ns}, note


def _read(note: Path) -> dict[str, Any] | None:
    try:
        return json.loads(note.read_bytes())
    except (OSError, json.JSONDecodeError):
        return None
