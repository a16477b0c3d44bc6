"""A run: the folder that a training leaves and that is accepted wherever a name is. No torch.

config.toml        the resolved config; `--config RUN/config.toml` trains the same again
run.json           method, kind, the encoder it belongs to, version; figures once finished
metrics.jsonl      an object a step: losses, learning rate, validation, seconds
checkpoints/       latest.safetensors (to go on from), best.safetensors (best validated weights)
model.safetensors  the weights to use
card.md            data, protocol, figures, licence
report.html        curves, pictures to look at
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import vretr
from vretr.errors import MismatchError, UsageError
from vretr.methods import method, thing
from vretr.paths import atomic_write
from vretr.training.config import FREE_ON_RESUME, PLACE, Config, TrainConfig, from_toml, to_toml

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn

Kind = Literal["encoder", "composer", "detector", "hasher"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the reader of a model card asks first. Markdown."""

    summary: str
    data: str  # what it was trained and validated on, and under which terms
    protocol: str  # how the figures were measured
    licence: str  # of the weights


@dataclass(frozen=True)
class Run:
    """A training's folder. `Run.create` for a training, `Run.open` for everything after it."""

    folder: Path
    about: Mapping[str, Any]  # run.json

    @classmethod
    def create(
        cls,
        config: TrainConfig,
        *,
        method: str,
        kind: Kind,
        encoder: str | None = None,
        identity: str | None = None,
    ) -> "Run":
        """Makes the folder `config.out`, or with `config.resume` opens it again.

        Args:
            config: what is written to config.toml.
            method: its method's name.
            kind: what the run can be used as.
            encoder: name of the encoder in whose space it works, if it is not one itself.
            identity: that encoder's identity.

        Raises:
            UsageError: the folder holds something already; or, resuming, the config differs from
                the run's in a field that decides what comes out.
            MismatchError: there is no run to resume.
        """
        if kind not in get_args(Kind):
            raise ValueError(f"kind is {kind!r}, but must be one of {', '.join(get_args(Kind))}")
        about = {
            "method": method,
            "kind": kind,
            "encoder": {"name": encoder, "identity": identity} if encoder else None,
            "vretr": vretr.__version__,
        }
        if not _is_main_process():
            if config.out is None:
                raise UsageError("several processes need --out FOLDER, the same for all")
            return cls(config.out, about)
        if config.resume:
            run = cls.open(config.out or Path())
            run._refuse_changes(config, about)
            for leftover in run.latest.parent.glob(".*.tmp"):  # of a process that was killed
                leftover.unlink()
        else:
            run = cls(_new_folder(config.out, method), about)
            (run.folder / "checkpoints").mkdir()
            run._write("run.json", json.dumps(about, indent=2) + "\n")
        run._write("config.toml", to_toml(config, leave_out=PLACE))
        return run

    @classmethod
    def open(cls, path: Path) -> "Run":
        """The run in a folder.

        Raises:
            MismatchError: it holds none, or one that a newer vretr has written.
        """
        path = Path(path)
        try:
            about = json.loads((path / "run.json").read_text(encoding="utf-8"))
            if about["kind"] in get_args(Kind) and isinstance(about["method"], str):
                return cls(path, about)
        except FileNotFoundError:
            raise MismatchError(f"{path} is no run: it has no run.json") from None
        except (ValueError, KeyError, TypeError, OSError) as problem:
            raise MismatchError(f"{path / 'run.json'} cannot be read: {problem!r}") from problem
        raise MismatchError(f"{path} is a run of an unknown kind, {about['kind']!r}")

    @property
    def method(self) -> str:
        """Name of the method that trained it."""
        return self.about["method"]

    @property
    def kind(self) -> Kind:
        """What it can be used as."""
        return self.about["kind"]

    @property
    def latest(self) -> Path:
        """The checkpoint that `--resume` goes on from."""
        return self.folder / "checkpoints" / "latest.safetensors"

    @property
    def best(self) -> Path:
        """The weights that validated best."""
        return self.folder / "checkpoints" / "best.safetensors"

    @property
    def weights(self) -> Path:
        """The weights to use, once finished."""
        return self.folder / "model.safetensors"

    def config(self, kind: type[Config]) -> Config:
        """The config it was trained with, of its method's config class.

        Raises:
            MismatchError: there is none, or it does not fit that class.
        """
        file = self.folder / "config.toml"
        try:
            return from_toml(file.read_text(encoding="utf-8"), kind)
        except (OSError, ValueError) as problem:
            raise MismatchError(f"{file} cannot be used: {problem}") from problem

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a last line that was cut off is left out."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return []
        text = file.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def load(self, *, device: str = "auto") -> Any:
        """What was trained, ready for use: an Encoder, a Composer, ... by the method's `load`.

        Raises:
            MismatchError: the run was not finished.
        """
        if not self.weights.exists():
            raise MismatchError(
                f"The training in {self.folder} was not finished; "
                f"--out {self.folder} --resume goes on"
            )
        place = method(self.method).load
        if place is None:
            raise MismatchError(f"The method {self.method} has nothing to load a run with")
        return thing(place)(self.folder, device=device)

    @contextmanager
    def recording(
        self, step: int, *, write: bool = True
    ) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """A function that appends a row to metrics.jsonl, from which rows after `step` are cut."""
        if not write:
            yield lambda row: None
            return
        kept = [row for row in self.metrics() if row["step"] <= step]
        self._write("metrics.jsonl", "".join(map(_line, kept)))
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:

            def record(row: Mapping[str, Any]) -> None:
                file.write(_line(row))
                file.flush()

            yield record

    def finish(
        self,
        model: "nn.Module",
        *,
        card: Card,
        metrics: Mapping[str, float],
        pictures: Sequence[tuple[str, "Image"]] = (),
        about: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Writes model.safetensors, card.md, report.html and the figures into run.json.

        Args:
            model: the weights to keep, as `fit` leaves them.
            card: what a reader of the weights must know.
            metrics: figures by their field-standard names.
            pictures: (caption, picture) pairs for the report.
            about: what else the weights cannot be used without, as plain values.
        """
        if not _is_main_process():
            return self
        from vretr.report import run_page
        from vretr.training.checkpoints import write

        figures = {name: float(value) for name, value in metrics.items()}
        whole = {**self.about, **(about or {}), "metrics": figures}
        run = Run(self.folder, whole)
        write(run.weights, model.state_dict(), whole)
        run._write("card.md", _card(card, whole))
        config = (run.folder / "config.toml").read_text(encoding="utf-8")
        run._write("report.html", run_page(whole, config, run.metrics(), pictures))
        run._write("run.json", json.dumps(whole, indent=2) + "\n")
        return run

    def _write(self, name: str, text: str) -> None:
        with atomic_write(self.folder / name) as file:
            file.write(text.encode("utf-8"))

    def _refuse_changes(self, config: TrainConfig, about: Mapping[str, Any]) -> None:
        if about["method"] != self.method:
            raise UsageError(f"{self.folder} is a run of {self.method}, not of {about['method']}")
        if about["encoder"] != self.about["encoder"]:
            raise UsageError(
                f"{self.folder} was trained with another encoder: {self.about['encoder']}, "
                f"now {about['encoder']}"
            )
        before = self.config(type(config))
        for field in fields(config):
            old, new = getattr(before, field.name), getattr(config, field.name)
            if old != new and field.name not in FREE_ON_RESUME:
                raise UsageError(
                    f"{self.folder} was trained with {field.name} = {old}, not {new}: "
                    "give the same value or start a run in another folder"
                )


def _is_main_process() -> bool:
    """Whether this process writes; the launchers number them in RANK."""
    return os.environ.get("RANK", "0") == "0"


def _new_folder(out: Path | None, method: str) -> Path:
    folder = out or _unused(Path("runs"), f"{method}-{datetime.now():%Y%m%d-%H%M%S}")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        hint = "--resume goes on with it" if (folder / "run.json").exists() else "choose another"
        raise UsageError(f"{folder} exists and is not empty; {hint}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _unused(parent: Path, name: str) -> Path:
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(parent / name for name in names if not (parent / name).exists())


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _card(card: Card, about: Mapping[str, Any]) -> str:
    figures = "".join(f"| {name} | {value:.4f} |\n" for name, value in about["metrics"].items())
    encoder = about["encoder"]
    relation = "Stands on the tower of" if about["kind"] == "encoder" else "Works in the space of"
    return (
        f"# {about['method']} ({about['kind']})\n\n{card.summary}\n\n"
        + (f"{relation} `{encoder['name']}` ({encoder['identity']}).\n\n" if encoder else "")
        + f"Trained with vretr {about['vretr']}; all settings are in `config.toml`.\n\n"
        f"## Data\n\n{card.data}\n\n## Protocol\n\n{card.protocol}\n\n"
        f"## Figures\n\n| metric | value |\n|---|---|\n{figures}\n## Licence\n\n{card.licence}\n"
    )
