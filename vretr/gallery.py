"""What was found as a self-contained HTML page: the query, thumbnails, scores and links."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from vretr import images, masks, pages
from vretr.calibration import FITS
from vretr.index import Hit
from vretr.paths import atomic_write, display
from vretr.query import Query

THUMBNAIL = (
    440  # pixels of the longer side: a card is about half as wide, screens have 2 pixels a dot
)


def write(page: Path, query: Query, hits: Sequence[Hit], *, root: Path, about: str) -> None:
    """Writes the page atomically.

    Args:
        hits: best first; a file that is gone or unreadable by now gets its reason for a picture.
        root: the folder that names are shown relative to.
        about: one line below the query, say where was searched and with what.

    Raises:
        OSError: the page cannot be written there.
    """
    text = pages.render(
        "gallery.html",
        title=display(_title(query)),
        about=display(about),
        wanted=_terms(
            query.text, query.text_weight, query.image, query.image_weight, query.given_mask
        ),
        unwanted=_terms(
            query.not_text, query.not_text_weight, query.not_image, query.not_image_weight
        ),
        hits=[
            _picture(hit.path, root) | {"rank": hit.rank, "score": float(hit.score), "fit": hit.fit}
            for hit in hits
        ],
        fits=FITS,
    )
    with atomic_write(page) as file:
        file.write(text.encode("utf-8"))


def _title(query: Query) -> str:
    wanted = [*(path.name for path in query.image), *query.text]
    unwanted = [*(path.name for path in query.not_image), *query.not_text]
    return " + ".join(wanted) + "".join(f" - {term}" for term in unwanted)


def _terms(
    words: Sequence[str],
    word_weights: Sequence[float],
    pictures: Sequence[Path],
    picture_weights: Sequence[float],
    mask: masks.Given | None = None,
) -> dict[str, Any]:
    return {
        "words": [
            {"text": display(text), "weight": weight}
            for text, weight in zip_longest(words, word_weights)
        ],
        "pictures": [
            _picture(path, path.parent, mask) | {"weight": weight}
            for path, weight in zip_longest(pictures, picture_weights)
        ],
    }


def _picture(path: Path, root: Path, mask: masks.Given | None = None) -> dict[str, Any]:
    """A file's name, link and thumbnail, on which the mask lies grey."""
    image = images.open(path, target=THUMBNAIL)
    name = path.relative_to(root) if path.is_relative_to(root) else path
    shown: dict[str, Any] = {"name": display(name), "uri": path.absolute().as_uri()}
    if isinstance(image, images.Unreadable):
        return shown | {"thumbnail": None, "problem": image.reason}
    if mask is not None:
        image = masks.shown(image, path, mask)
    return shown | {"thumbnail": pages.thumbnail(image, size=THUMBNAIL)}
