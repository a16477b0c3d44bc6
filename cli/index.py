"""`vretr index`: folders in, an index beside them, and what was done said in a line."""

import os
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli import console
from cli.listed import chosen as chosen_paths
from cli.options import starting
from vretr.errors import MismatchError, VretrError
from vretr.paths import display, json_fields
from vretr.progress import progress as shown_progress

if TYPE_CHECKING:
    from vretr.index.build import BuildReport, Progress

READING, KEEPING, COMPUTING, SHOWING = "What is read", "The index", "How", "What comes out"
COUNTS = ("photos", "new", "moved", "unchanged", "removed")
NAMED = 20  # skipped files that are named at the end

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def _poolings() -> list[str]:
    from vretr.poolings import known_poolings

    return known_poolings()


def _encoders() -> list[str]:
    from vretr.encoders.names import known_names

    return known_names()


def index(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders, files or globs; - reads a list of them from stdin.",
            metavar="PATH",
            show_default=False,
        ),
    ] = None,
    *,
    from_file: Annotated[
        Path | None,
        typer.Option(
            help="A list of paths, one a line; - reads stdin.",
            metavar="FILE|-",
            rich_help_panel=READING,
        ),
    ] = None,
    nul: Annotated[
        bool,
        typer.Option("-0", "--null", help="Paths in lists end with NUL.", rich_help_panel=READING),
    ] = False,
    exclude: Annotated[
        list[str],
        typer.Option(
            default_factory=list,
            help="Leave out what matches: 'raw', '*.gif', '2019/*'; repeatable.",
            metavar="GLOB",
            rich_help_panel=READING,
            show_default=False,
        ),
    ],
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Try again what could not be read before, although it has not changed.",
            rich_help_panel=READING,
        ),
    ] = False,
    index: Annotated[
        Path | None,
        typer.Option(
            help="Where the index is kept; default: .vretr in the folder.",
            metavar="DIR",
            rich_help_panel=KEEPING,
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Forget what is gone even if that is more than half.",
            rich_help_panel=KEEPING,
        ),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Encode everything anew, perhaps by another encoder.",
            rich_help_panel=KEEPING,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "-n",
            help="Say what would be done; write nothing.",
            rich_help_panel=KEEPING,
        ),
    ] = False,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="What turns photos into vectors; default: the index's own, for a new one lite. "
            "`vretr encoders` lists them.",
            metavar="NAME",
            autocompletion=starting(_encoders),
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Pool its patches otherwise: avg, max, gem, ggem, ggem:p=4, cls,avg; the same as "
            "--encoder NAME+POOLING. Such an index is searched by pictures only.",
            metavar="POOLING",
            autocompletion=starting(_poolings),
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, cuda, cuda:1, mps.", metavar="NAME", rich_help_panel=COMPUTING
        ),
    ] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Of the arithmetic.", rich_help_panel=COMPUTING)
    ] = "auto",
    batch_size: Annotated[
        int,
        typer.Option(
            help="Photos encoded together.", min=1, metavar="N", rich_help_panel=COMPUTING
        ),
    ] = 32,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that decode; default: one a processor.",
            metavar="N",
            min=0,
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            help="Threads that the encoder computes with; 0: as many as it likes.",
            metavar="N",
            min=0,
            rich_help_panel=COMPUTING,
        ),
    ] = 0,
    info: Annotated[
        bool,
        typer.Option(
            "--info",
            help="Say what the index holds; read no photo. Without PATH: the index that "
            "`vretr query` would ask.",
            rich_help_panel=SHOWING,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object at the end.", rich_help_panel=SHOWING),
    ] = False,
) -> None:
    """Read the photos of folders into an index.

    Run again, it encodes only what is new or has changed. Interrupted at any moment, it goes on
    where it was. On a terminal a sentence says what was done, in a pipe lines of name, tab, value.
    Exit codes: 0 done; 1 failed, or there is no photo; 2 wrong usage; 3 done, but some files could
    not be read (they are named); 4 the index is of another encoder; 130 interrupted.
    """
    if threads:  # before the libraries that read it are imported
        os.environ["OMP_NUM_THREADS"] = str(threads)
    if not (paths or from_file or info):
        ctx.fail("Say what to index: a folder, files, or - for a list on stdin.")
    chosen = list(chosen_paths(paths or [], from_file, nul=nul))

    from vretr.index.locate import DEFAULT, locate

    if info:
        show_info(locate(index, chosen[0] if chosen else None), as_json=as_json)
        return
    if not chosen:
        raise VretrError("The list of paths is empty.")
    where = index or chosen[0] / DEFAULT
    name = _name(encoder or _encoder_of(where, rebuild and pooling is not None), pooling)

    def build(progress: Any) -> "BuildReport":
        from vretr.calibration import read_phrases
        from vretr.encoders import load_encoder
        from vretr.index.build import build

        loaded = load_encoder(name, device=device, precision=precision)
        report = build(
            chosen,
            loaded,
            index=index,
            exclude=exclude,
            prune=prune,
            rebuild=rebuild,
            dry_run=dry_run,
            retry_failed=retry_failed,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        if not dry_run:
            read_phrases(loaded)  # now, when one waits anyhow: queries compare scores with them
        return report

    try:
        with shown_progress(None, "Reading photos") as bar:

            def show_progress(now: "Progress") -> None:
                rate = f"{now.rate:.1f} photos/s" if now.rate else ""
                bar.update(now.done, now.total, note=rate)

            report = build(show_progress)
    except KeyboardInterrupt:
        kept = f"{_kept(where):,} photos are kept in {console.shown(where)}"
        console.note(f"{kept}; the same command goes on from there.")
        raise
    show_report(report, where, encoder=name, dry_run=dry_run, as_json=as_json)
    if report.skipped:
        raise typer.Exit(3)


def _name(encoder: str, pooling: str | None) -> str:
    """The encoder's name with what `--pooling` says."""
    if pooling is None:
        return encoder
    from vretr.encoders.names import with_pooling

    return with_pooling(encoder, pooling)


def _encoder_of(where: Path, tower: bool) -> str:
    """The encoder that the index was made with, or only its tower; `lite` for a new index."""
    from vretr.encoders.names import parse
    from vretr.index import Index

    try:
        with Index.open(where) as opened:
            return parse(opened.encoder).tower if tower else opened.encoder
    except MismatchError:  # no index, or one that only a build can bring up to date
        return "lite"


def _kept(where: Path) -> int:
    from vretr.index import Index

    try:
        with Index.open(where) as opened:
            return len(opened)
    except MismatchError:  # interrupted before there was anything to keep
        return 0


def show_report(
    report: "BuildReport", where: Path, *, encoder: str, dry_run: bool, as_json: bool
) -> None:
    """What was done, on stdout; what was skipped, on stderr."""
    found = report.to_dict()
    found["skipped"] = [_shown(entry) for entry in found["skipped"]]
    if as_json:
        console.print_json(found)
    elif console.is_tty():
        console.write(_sentence(found, where, encoder, dry_run) + "\n")
    else:
        _lines(found)
    _name_skipped(found["skipped"])


def _sentence(found: Mapping[str, Any], where: Path, encoder: str, dry_run: bool) -> str:
    counts = [f"{found[name]:,} {name}" for name in COUNTS[1:] if found[name]]
    return (
        f"{'Nothing was written; there would be ' if dry_run else ''}{found['photos']:,} photos in "
        f"{display(console.shown(where))} ({display(encoder)}): "
        f"{', '.join(counts) or 'nothing has changed'}; {found['seconds']:.1f} s"
    )


def show_info(where: Path, *, as_json: bool) -> None:
    """What an index holds, on stdout."""
    from vretr.index import Index

    with Index.open(where) as opened:
        found = opened.info()
    found["skipped"] = [_shown(entry) for entry in found["skipped"]]
    if as_json:
        console.print_json(found)
    else:
        _lines({"index": where, **found})
        _name_skipped(found["skipped"])


def _lines(found: Mapping[str, Any]) -> None:
    """Name and value a line; of what was skipped only the number."""
    values = {**found, "skipped": len(found["skipped"])}
    console.table(("", ""), list(values.items()))


def _name_skipped(skipped: list[dict[str, str]]) -> None:
    for entry in skipped[:NAMED]:
        console.warn(f"skipped {display(_path(entry))}: {entry['reason']}")
    if len(skipped) > NAMED:
        console.warn(f"and {len(skipped) - NAMED:,} more; --json lists all")


def _shown(entry: Mapping[str, str]) -> dict[str, str]:
    """A skipped file with its path as one would type it here."""
    return {**json_fields(console.shown(_path(entry))), "reason": entry["reason"]}


def _path(entry: Mapping[str, str]) -> str:
    """The exact path that `json_fields` was made of."""
    return os.fsdecode(b64decode(entry["path_b64"])) if "path_b64" in entry else entry["path"]
