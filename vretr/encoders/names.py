"""The grammar of encoder names: one for `--encoder` and `--backbone`. Imports no torch.

lite, lite-free           built in; lite-free's heads have freer terms
ViT-B ViT-L ViT-H ViT-G   the usual CLIP models of composed retrieval
ARCH/PRETRAINED           any pair of open_clip: ViT-B-16/datacomp_xl_s13b_b90k
ARCH/random               that architecture untrained, seed 0: for tests and timing
ARCH@path/to/weights      that architecture with weights from a file
hf-hub:ORG/NAME           an open_clip model in a hub repository
local-dir:FOLDER          an open_clip model in a folder: open_clip_config.json and weights
timm:NAME                 an image model of timm: pictures only; also NAME@path and NAME/random
path/to/run               a Run: what a training left
NAME+POOLING              its patches pooled otherwise, pictures only: lite+gem, ViT-B+ggem:p=4
...                       whatever an installed package brings (entry points `vretr.encoders`)
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, TypeAlias

from vretr.encoders import catalogue
from vretr.errors import MismatchError, UsageError
from vretr.paths import display
from vretr.poolings import parse_pooling

# LinCIR's and its like's backbones. OpenAI's weights need the quickgelu architectures.
SHORT_NAMES = {
    "ViT-B": "ViT-B-32-quickgelu/openai",
    "ViT-L": "ViT-L-14-quickgelu/openai",
    "ViT-H": "ViT-H-14/laion2b_s32b_b79k",
    "ViT-G": "ViT-bigG-14/laion2b_s39b_b160k",
}
BUILT_IN = {"lite": "", "lite-free": "free"}  # -> which of the shipped heads
RANDOM = "random"
GROUP = "vretr.encoders"

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]  # of an encoder's arithmetic


@dataclass(frozen=True)
class Spec:
    """A name that was understood. `name` means the same from any folder: its paths are absolute."""

    name: str
    kind: Literal["lite", "open_clip", "hf-hub", "local-dir", "timm", "run", "plugin"]
    model: str = ""  # architecture, ORG/NAME of a repository, NAME or which of lite's heads
    tag: str = ""  # which published weights, or RANDOM
    path: Path | None = None  # a file of weights, a folder, a Run
    pooling: str = ""  # what stands behind the +; "": the model's own

    @property
    def tower(self) -> str:
        """The name without the pooling."""
        return self.name.removesuffix(f"+{self.pooling}")


def parse(name: str | Path) -> Spec:
    """Understands an encoder's name; touches nothing but the names of files.

    Raises:
        UsageError: it cannot be meant; the message says what may have been.
        MismatchError: a path that exists but is no Run.
    """
    if isinstance(name, Path):
        return _run(name)
    name = name.strip()
    if pooled := _pooled(name):
        return pooled
    if (built_in := name.partition("@"))[0] in BUILT_IN:
        return _built_in(*built_in)
    if name in SHORT_NAMES:
        return replace(parse(SHORT_NAMES[name]), name=name)
    scheme, colon, rest = name.partition(":")
    if colon and scheme in ("hf-hub", "local-dir", "timm"):
        return _with_scheme(scheme, rest.strip())
    if spec := _open_clip(name):
        return spec
    if name in _plugins():
        return Spec(name, "plugin", name)
    if name and os.path.lexists(name):
        return _run(Path(name))
    raise UsageError(_unknown(name))


def with_pooling(name: str, pooling: str) -> str:
    """NAME+POOLING.

    Raises:
        UsageError: one of them cannot be meant, or the name has another pooling already.
    """
    spec = parse(name)
    if spec.pooling and spec.pooling != pooling:
        raise UsageError(f"The name {name} has a pooling already; leave +{spec.pooling} away.")
    return parse(f"{spec.tower}+{pooling}").name


def _pooled(name: str) -> Spec | None:
    """NAME+POOLING, unless there is a file, folder or Run of that very name."""
    tower, plus, written = name.rpartition("+")
    paths = (name, name.partition("@")[2], name.partition(":")[2])
    if not plus or not _POOLING.match(written):
        return None
    if any(path and os.path.lexists(os.path.expanduser(path)) for path in paths):
        return None
    spec = parse(tower)
    pooling = str(parse_pooling(written))
    if spec.pooling:
        raise UsageError(f"Several poolings are written {spec.name},{pooling}.")
    if spec.kind in ("run", "plugin"):
        raise UsageError(f"{spec.name} pools as it was made to; leave +{pooling} away.")
    return replace(spec, name=f"{spec.name}+{pooling}", pooling=pooling)


# What has a slash, or a dot in its name, is a part of a path.
_POOLING = re.compile(r"[a-z][a-z0-9_-]*(?:$|[:,][^/]*$)")


def _built_in(name: str, at: str, folder: str) -> Spec:
    spec = _from_file("lite", "", name, folder) if at else Spec(name, "lite")
    return replace(spec, model=BUILT_IN[name])


def _with_scheme(scheme: str, rest: str) -> Spec:
    if not rest:
        raise UsageError(f"What follows {scheme}: is missing; write {scheme}:{_REST[scheme]}.")
    if scheme == "hf-hub":
        if rest.count("/") != 1:
            raise UsageError(f"A hub repository is written hf-hub:ORG/NAME, not hf-hub:{rest}.")
        return Spec(f"hf-hub:{rest}", "hf-hub", rest)
    if scheme == "local-dir":
        folder = Path(rest).expanduser().absolute()
        return Spec(f"local-dir:{folder}", "local-dir", path=folder)
    model, at, file = rest.partition("@")
    if at:
        return _from_file("timm", "timm:", model, file)
    model, slash, tag = rest.partition("/")
    if slash and tag != RANDOM:
        raise UsageError(
            f"timm names its weights after a dot: timm:{model}.{tag}, not timm:{rest}."
        )
    return Spec(f"timm:{rest}", "timm", model, tag)


_REST = {"hf-hub": "ORG/NAME", "local-dir": "FOLDER", "timm": "NAME"}


def _open_clip(name: str) -> Spec | None:
    """ARCH@file or ARCH/PRETRAINED, if ARCH is one of open_clip's."""
    model, at, file = name.partition("@")
    if at and model in catalogue.architectures():
        return _from_file("open_clip", "", model, file)
    model, _, tag = name.rpartition("/")
    model = model.replace("/", "-")  # as published: ViT-B/32
    if model not in catalogue.architectures():
        return None
    if tag != RANDOM:
        tag = tag.lower().replace("-", "_")  # as open_clip does
        entry = catalogue.weights().get(model, {}).get(tag)
        if entry is None:
            raise UsageError(_no_such_weights(model, tag))
        if (right := catalogue.right_architecture(model, entry)) != model:
            raise UsageError(
                f"The weights {tag} were trained with another activation (QuickGELU or exact GELU) "
                f"than that of {model}: write {right}/{tag}."
            )
    return Spec(f"{model}/{tag}", "open_clip", model, tag)


def _from_file(
    kind: Literal["lite", "open_clip", "timm"], prefix: str, model: str, file: str
) -> Spec:
    if not file:
        raise UsageError(f"After the @ comes a file of weights: {prefix}{model}@path/to/weights.")
    path = Path(file).expanduser().absolute()
    return Spec(f"{prefix}{model}@{path}", kind, model, path=path)


def _run(path: Path) -> Spec:
    path = path.expanduser().absolute()
    if not path.exists():
        raise MismatchError(f"There is no Run at {display(path)}.")
    if not (path / "run.json").is_file():
        raise MismatchError(f"{display(path)} is not a Run: it has no run.json.")
    return Spec(str(path), "run", path=path)


def _plugins() -> list[str]:
    return [point.name for point in entry_points(group=GROUP)]


def known_names() -> list[str]:
    """What completion offers and near matches are sought in."""
    return list(dict.fromkeys([*(card.name for card in catalogue.CARDS), *catalogue.pairs()]))


def _no_such_weights(model: str, tag: str) -> str:
    tags = catalogue.weights().get(model, {})
    if not tags:
        return (
            f"open_clip knows the architecture {model} but no weights for it; "
            f"write {model}@path/to/weights or {model}/{RANDOM}."
        )
    return f"There are no weights {tag!r} for {model}; there are {_few(tags)} and {RANDOM}."


def _unknown(name: str) -> str:
    if name in catalogue.architectures():
        if tags := catalogue.weights().get(name):
            return (
                f"{name} alone does not say which weights; write {name}/ and one of {_few(tags)}."
            )
        return _no_such_weights(name, "")
    known = {known.lower(): known for known in [*known_names(), *_plugins()]}
    close = get_close_matches(name.lower(), list(known), n=3, cutoff=0.6)
    if close:
        hint = f"did you mean {' or '.join(known[match] for match in close)}?"
    else:
        hint = f"try {', '.join(['lite', *SHORT_NAMES])}, ARCH/PRETRAINED or the path of a Run"
    return f"There is no encoder {name!r}; {hint} `vretr encoders --all` lists every name."


def _few(names: Iterable[str], most: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
