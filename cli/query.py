"""`vretr query`: words and pictures in, photos out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console
from cli.batch import answer_lines, hit_object, opened, say_composer
from cli.options import starting
from vretr.errors import UsageError

if TYPE_CHECKING:
    from vretr.index import Hit
    from vretr.query import Query
    from vretr.searcher import Searcher

ASKING, SEARCHING, COMPOSING, SHOWING = "What is asked", "Where", "How", "What comes out"
COMPOSERS = ("sum", "slerp", "lincir", "compodiff", "image", "text")


def _terms(help: str, metavar: str) -> Any:
    """An option that may be given several times."""
    return typer.Option(
        default_factory=list, help=help, metavar=metavar, rich_help_panel=ASKING, show_default=False
    )


def _options(incomplete: str) -> list[str]:
    from vretr.composers.options import known_options

    return starting(known_options)(incomplete)


def query(
    ctx: typer.Context,
    *,
    text: Annotated[list[str], _terms("Words for what is looked for; repeatable.", "WORDS")],
    image: Annotated[list[Path], _terms("A picture of it; repeatable.", "FILE")],
    not_text: Annotated[list[str], _terms("Words for what is not wanted.", "WORDS")],
    not_image: Annotated[list[Path], _terms("A picture of what is not wanted.", "FILE")],
    text_weight: Annotated[
        list[float],
        _terms("Weight of each --text, in the same order; all or none.", "NUMBER"),
    ],
    image_weight: Annotated[list[float], _terms("Weight of each --image.", "NUMBER")],
    not_text_weight: Annotated[list[float], _terms("Weight of each --not-text.", "NUMBER")],
    not_image_weight: Annotated[list[float], _terms("Weight of each --not-image.", "NUMBER")],
    mask: Annotated[
        Path | None,
        typer.Option(
            help="The part of the one --image that is to be another: a picture of its size, white "
            "there. For composers that take masks (compodiff).",
            metavar="FILE",
            rich_help_panel=ASKING,
        ),
    ] = None,
    mask_box: Annotated[
        str | None,
        typer.Option(
            help="The same as a box: left, top, width, height in pixels.",
            metavar="X,Y,W,H",
            rich_help_panel=ASKING,
        ),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Queries to answer, one a line: words, or a JSON object by these options' names. "
            "Answers are JSON, one a line, in the same order. - reads stdin.",
            metavar="FILE|-",
            rich_help_panel=ASKING,
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="The index.", metavar="DIR", rich_help_panel=SEARCHING),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--in",
            help="A folder that was indexed. Without either: VRETR_INDEX, else the nearest index "
            "from here upwards, else the one directly below.",
            metavar="FOLDER",
            rich_help_panel=SEARCHING,
        ),
    ] = None,
    filter: Annotated[
        str | None,
        typer.Option(
            help="Only files whose name, or path from the indexed folder, matches: '*.png', "
            "'2023/*'. * also matches slashes; capitals count.",
            metavar="GLOB",
            rich_help_panel=SEARCHING,
        ),
    ] = None,
    composer: Annotated[
        str | None,
        typer.Option(
            help="How pictures and words become one query: sum, slerp, lincir, image (the words "
            "count nothing), text (the pictures count nothing), the path of a trained composer's "
            "run (of lincir or compodiff), or lincir:FILE (default: what did best for the index's "
            "encoder).",
            metavar="NAME",
            autocompletion=starting(COMPOSERS),
            rich_help_panel=COMPOSING,
        ),
    ] = None,
    picture_weight: Annotated[
        float | None,
        typer.Option(
            help="Share of the pictures' own vectors where there are words as well.",
            min=0,
            max=1,
            metavar="0..1",
            rich_help_panel=COMPOSING,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="The sentence that lincir makes: $ is the picture, {} the words.",
            metavar="SENTENCE",
            rich_help_panel=COMPOSING,
        ),
    ] = None,
    composer_option: Annotated[
        list[str] | None,
        typer.Option(
            help="What else the composer can be told, repeatable: of compodiff steps, "
            "guidance-image, guidance-text, eta, seed, samples, mix.",
            metavar="NAME=VALUE",
            autocompletion=_options,
            rich_help_panel=COMPOSING,
        ),
    ] = None,
    include_self: Annotated[
        bool,
        typer.Option(
            "--include-self",
            help="Let the query photo and its exact copies be found, too.",
            rich_help_panel=COMPOSING,
        ),
    ] = False,
    k: Annotated[
        int, typer.Option("-k", help="How many photos.", min=1, rich_help_panel=SHOWING)
    ] = 10,
    min_score: Annotated[
        str | None,
        typer.Option(
            help="Only photos that score at least this; auto: only those that fit, perhaps none.",
            metavar="NUMBER|auto",
            autocompletion=starting(["auto"]),
            rich_help_panel=SHOWING,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a line.", rich_help_panel=SHOWING),
    ] = False,
    nul: Annotated[
        bool,
        typer.Option("-0", "--null", help="End each path with NUL.", rich_help_panel=SHOWING),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with thumbnails, too.",
            metavar="FILE",
            dir_okay=False,
            rich_help_panel=SHOWING,
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page of --html.", rich_help_panel=SHOWING)
    ] = False,
) -> None:
    """Find photos by words, by picture or by both.

    On a terminal a table, in a pipe one path a line, best first. Exit codes: 0 done, also where
    nothing was found; 2 wrong usage; 3 some queries of a batch could not be answered; 4 there is no
    index, or its encoder is not here.
    """
    terms: dict[str, Any] = {
        "text": text,
        "image": image,
        "not_text": not_text,
        "not_image": not_image,
        "text_weight": text_weight,
        "image_weight": image_weight,
        "not_text_weight": not_text_weight,
        "not_image_weight": not_image_weight,
        "mask": mask,
        "mask_box": _box(mask_box),
    }
    rest: dict[str, Any] = {
        "k": k,
        "min_score": _least(min_score),
        "filter": filter,
        "include_self": include_self,
    }
    how: dict[str, Any] = {
        "composer": composer,
        "picture_weight": picture_weight,
        "prompt": prompt,
        "options": composer_option or (),
    }
    if as_json and nul:
        ctx.fail("Give --json or -0, not both.")
    if open_page and html is None:
        ctx.fail("--open opens the page that --html FILE writes.")
    if html and not html.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {html.parent} to write {html.name} to.")

    from vretr.calibration import FITS
    from vretr.index import Index
    from vretr.index.locate import locate
    from vretr.query import Query
    from vretr.searcher import Searcher

    if batch is not None:
        if any(terms.values()) or html or nul:
            ctx.fail("With --batch, each line says what is asked; no --text, --image, --html, -0.")
        with opened(batch) as lines, Index.open(locate(index, folder)) as found:
            searcher = Searcher.of(found, **how)
            raise typer.Exit(answer_lines(lines, searcher, rest))

    asked = Query(**terms, **rest)
    with Index.open(locate(index, folder)) as found:
        searcher = Searcher.of(found, **how)
        shows_fits = as_json or html is not None or (console.is_tty() and not nul)
        hits = searcher.answer(asked, fits=shows_fits)
        if html:  # first, as printing ends it all where nobody reads on: `| head -1`
            write_page(html, searcher, asked, hits)
        show(hits, as_json=as_json, nul=nul)
        say_composer(searcher, [asked])
        if not hits:
            fitting = "that fits " if min_score == "auto" else ""
            console.note(f"Nothing {fitting}found among {len(found):,} photos.")
        elif console.is_tty() and hits[0].fit is not None and hits[0].fit < FITS:
            console.note(
                "Nothing seems to fit; these come closest. --min-score auto leaves them out."
            )
    if html and open_page:
        launch(html)


def show(hits: Sequence["Hit"], *, as_json: bool, nul: bool) -> None:
    """The hits on stdout."""
    if as_json:
        for hit in hits:
            console.print_json(hit_object(hit))
    elif console.is_tty() and not nul:
        show_table(hits)
    else:
        for hit in hits:
            console.print_path(hit.path, nul=nul)


def show_table(hits: Sequence["Hit"]) -> None:
    """The hits for a person: how well each fits as a meter, where that is known, and its score."""
    if any(hit.fit is not None for hit in hits):
        rows = [(hit.rank, meter(hit.fit), f"{hit.score:.3f}", hit.path) for hit in hits]
        console.table(("", "fit", "score", "photo"), rows)
    elif hits:
        console.table(
            ("", "score", "photo"), [(hit.rank, f"{hit.score:.3f}", hit.path) for hit in hits]
        )


def meter(fit: float | None) -> str:
    """A fit from 0 to 1 as five marks; three and more are filled from FITS on."""
    filled = 0 if fit is None else min(5, int(fit * 6))
    return "●" * filled + "○" * (5 - filled)


def _box(given: str | None) -> tuple[int, ...] | None:
    """--mask-box: four whole numbers."""
    if given is None:
        return None
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError:
        raise UsageError(
            f"--mask-box is left,top,width,height in pixels, as in 10,20,100,50, not {given}."
        ) from None


def _least(given: str | None) -> float | str | None:
    """--min-score: a number or auto."""
    if given is None or given == "auto":
        return given
    try:
        return float(given)
    except ValueError:
        raise UsageError(f"--min-score must be a number or auto, not {given}.") from None


def write_page(page: Path, searcher: "Searcher", asked: "Query", hits: Sequence["Hit"]) -> None:
    """`--html`."""
    from vretr import gallery

    root, encoder = searcher.index.root, searcher.encoder.name
    about = f"{len(hits)} of {len(searcher.index):,} photos in {root}, seen by {encoder}"
    gallery.write(page, asked, hits, root=root, about=about)
    console.note(f"Wrote {console.shown(page)}")


def launch(page: Path) -> None:
    """`--open`."""
    import webbrowser

    if not webbrowser.open(page.absolute().as_uri()):
        console.warn(f"no browser was found; open {console.shown(page)} yourself")
