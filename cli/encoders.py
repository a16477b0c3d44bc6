"""`vretr encoders`: which encoders there are; `vretr encoders pull`: the weights of one."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli import console
from cli.options import starting
from vretr.encoders import catalogue, files, names, sources
from vretr.encoders.lite import terms
from vretr.errors import UsageError

app = typer.Typer(name="encoders", add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Row:
    """One encoder: the fields of `--json`."""

    name: str
    dim: int
    megabytes: int | None  # of the file that is here, else of the usual one; None: not known
    reads_text: bool
    licence: str | None  # None: see the model card
    commercial: bool | None
    present: bool
    path: Path | None
    note: str = ""


@app.callback(invoke_without_command=True)
def encoders(
    ctx: typer.Context,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Every pair of open_clip, not only the recommended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the encoders that a name can stand for, with licence and size.

    Further names: ARCH@path/to/weights, ARCH/random, hf-hub:ORG/NAME, local-dir:FOLDER,
    timm:NAME, and a Run by its path.
    """
    if ctx.invoked_subcommand is not None:
        return
    rows = list(_rows(every))
    if as_json:
        for row in rows:
            console.print_json(asdict(row))
        return
    console.table(
        ("encoder", "dim", "MB", "words", "here", "licence"),
        [
            (
                row.name,
                row.dim,
                row.megabytes,
                "yes" if row.reads_text else "no",
                "yes" if row.present else "no",
                _licence(row),
            )
            for row in rows
        ],
    )


def _rows(every: bool) -> Iterator[Row]:
    for card in catalogue.CARDS:
        path = _path(card.name)
        size = path.stat().st_size / 1e6 if path else card.parameters * 4
        yield Row(
            card.name,
            card.dim,
            round(size),
            card.reads_text,
            card.licence,
            card.commercial,
            path is not None or _is_built_in(card.name),
            path,
            card.note,
        )
    if not every:
        return
    shown = {card.name for card in catalogue.CARDS}
    for name in catalogue.pairs():
        if name not in shown:
            path = _path(name)
            megabytes = round(path.stat().st_size / 1e6) if path else None
            dim = catalogue.architecture(name.partition("/")[0])["embed_dim"]
            yield Row(name, dim, megabytes, True, None, None, path is not None, path)


def _licence(row: Row) -> str:
    if row.licence is None:
        return "see its model card"
    return row.licence if row.commercial else f"{row.licence}, non-commercial"


def _is_built_in(name: str) -> bool:
    spec = names.parse(name)
    return spec.kind == "lite" and terms.path(spec.model).exists()


def _path(name: str) -> Path | None:
    """Where the weights of an encoder lie on this machine, if they do."""
    needed = sources.sources(names.parse(name))
    return files.find(needed[-1]) if needed else None


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            help="Its name, as in the list.",
            autocompletion=starting(names.known_names),
            show_default=False,
        ),
    ],
) -> None:
    """Fetch the weights of an encoder, so that it works without a network; print where they are.

    Its text side is prepared as well, so that queries in words start without torch.
    They go into the hub's cache: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub.
    """
    spec = names.parse(name)
    if spec.kind == "lite":
        console.note(f"{spec.name} is installed with vretr; there is nothing to fetch.")
        return
    needed = sources.sources(spec)
    if not needed:
        raise UsageError(f"{spec.name} is not on the hub: there is nothing to fetch.")
    licence = sources.licence(spec)
    for source in needed:
        path = files.fetch(source, licence=licence)
        console.note(f"{path.name}: {path.stat().st_size / 1e6:,.0f} MB, licence: {licence}.")
        console.print_path(path)
    if spec.kind != "timm":
        _prepare(spec.name)


def _prepare(name: str) -> None:
    """So that a query in words need not import torch."""
    from vretr.encoders import load_encoder
    from vretr.encoders.base import PreparesTexts

    encoder = load_encoder(name)
    if isinstance(encoder, PreparesTexts) and encoder.prepare_texts():
        console.note("Queries in words are answered without torch.")
    else:
        console.note("Queries in words will import torch; --verbose says why.")
