"""Where an encoder's weights lie. One order, everywhere:

1. the file itself, where a name gives it: `ARCH@path`, `timm:NAME@path`, `local-dir:FOLDER`;
2. `VRETR_HOME/weights/ORG/NAME/FILE`: the place to put files by hand;
3. the hub's cache, shared with other programs: HF_HUB_CACHE, else HF_HOME/hub, else
   ~/.cache/huggingface/hub;
4. the hub itself, unless the network is off (`--offline`, VRETR_OFFLINE, HF_HUB_OFFLINE). What is
   fetched goes into the hub's cache, and must have the SHA-256 that the hub states for it.

Of several files with the same weights the safetensors one is preferred.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from vretr import paths
from vretr.errors import VretrError

log = logging.getLogger(__name__)

_SAFE_NAMES = {
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
    "pytorch_model.bin": "model.safetensors",
}


@dataclass(frozen=True)
class Source:
    """A file in a repository of the hub, under any of the names it may have there."""

    repository: str  # ORG/NAME
    files: tuple[str, ...]  # the preferred name first

    @classmethod
    def of_weights(cls, repository: str, file: str) -> "Source":
        """The weights that a library names `file`, or their safetensors twin."""
        twin = _SAFE_NAMES.get(file, f"{file.rpartition('.')[0]}.safetensors")
        return cls(repository, (file,) if file.endswith(".safetensors") else (twin, file))

    @property
    def own_folder(self) -> Path:
        """Where a person may put the file by hand."""
        return paths.home() / "weights" / self.repository


def find(source: Source) -> Path | None:
    """The file on this machine, if it is here (places 2 and 3)."""
    for name in source.files:
        if (own := source.own_folder / name).is_file():
            return own
    for name in source.files:
        if cached := _in_hub_cache(source.repository, name):
            return cached
    return None


def _in_hub_cache(repository: str, name: str) -> Path | None:
    """The file of the revision that `main` points to, read without the hub's library."""
    folder = paths.hub_cache() / f"models--{repository.replace('/', '--')}"
    try:
        revision = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    file = folder / "snapshots" / revision / name
    return file if file.is_file() else None


def fetch(source: Source, *, licence: str = "see its model card") -> Path:
    """The file, from this machine or from the hub.

    Raises:
        VretrError: it is not here and the network is off; the hub does not have it, refuses it or
            cannot be reached; what came is not what the hub promised.
    """
    if here := find(source):
        return here
    if paths.offline():
        raise VretrError(
            f"{source.repository} is not on this machine and the network is off: put its file "
            f"{' or '.join(source.files)} into {paths.display(source.own_folder)}, "
            "or write ARCH@path/to/the/file."
        )
    return _download(source, licence)


def _download(source: Source, licence: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in source.files:
        try:
            promised = get_hf_file_metadata(hf_hub_url(source.repository, name))
            size = f"{promised.size / 1e6:,.0f} MB" if promised.size else "unknown size"
            log.warning(
                "Fetching %s of %s: %s, licence: %s.", name, source.repository, size, licence
            )
            path = hf_hub_download(source.repository, name, cache_dir=paths.hub_cache())
        except LocalEntryNotFoundError as error:  # also an EntryNotFoundError, but means no network
            raise _failed(source, error) from error
        except EntryNotFoundError:
            continue
        except _hub_errors() as error:
            raise _failed(source, error) from error
        _check(Path(path), promised.etag)
        return Path(path)
    raise VretrError(f"{source.repository} has no file {' or '.join(source.files)}.")


def _hub_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    return (HfHubHTTPError, HTTPError, OfflineModeIsEnabled, OSError)


def _failed(source: Source, error: Exception) -> VretrError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    place = f"put {source.files[0]} into {paths.display(source.own_folder)}"
    if isinstance(error, GatedRepoError):
        return VretrError(
            f"{source.repository} wants its terms accepted: do that on the hub's page and log in "
            f"with `hf auth login`, or {place}."
        )
    if isinstance(error, RepositoryNotFoundError):
        return VretrError(f"The hub has no public repository {source.repository}.")
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return VretrError(
        f"{source.repository} could not be fetched ({reason}): try again, or {place}."
    )


def _check(path: Path, promised: str | None) -> None:
    """Compares a large file with the SHA-256 that the hub gives as its ETag (small ones have none).

    A file that differs is taken out of the cache, so that the next try fetches it again.
    """
    if promised is None or len(promised) != 64:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != promised:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise VretrError(f"{path.name} arrived damaged (SHA-256 {found[:16]}...): try again.")
