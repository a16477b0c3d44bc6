"""From a name to a composer."""

from collections.abc import Sequence
from pathlib import Path

from vretr.composers.base import Composer
from vretr.composers.options import parsed
from vretr.composers.sums import PICTURE_WEIGHT, SLERP_WEIGHT, Slerp, WeightedSum
from vretr.encoders.base import Encoder
from vretr.errors import MismatchError, UsageError
from vretr.methods import Method, methods, near, thing
from vretr.paths import display

# The baselines that every composer is measured against, as picture weights.
BASELINES = {"image": 1.0, "text": 0.0, "sum": PICTURE_WEIGHT, "slerp": SLERP_WEIGHT}


def load_composer(
    name: str,
    encoder: Encoder,
    *,
    picture_weight: float | None = None,
    prompt: str | None = None,
    options: Sequence[str] = (),
) -> Composer:
    """The composer of that name.

    Args:
        name: `image`, `text`, `sum`, `slerp`; a method, for what it has at hand for this encoder
            (`lincir`); METHOD:FILE, for what it reads from a file; or a Run by its path.
        picture_weight: share of the pictures' own vectors; None: the composer's default.
        prompt: the sentence, of a composer that puts pictures into one.
        options: what else the method's composer can be told, each as NAME=VALUE.

    Raises:
        UsageError: there is no such composer, or it takes no such setting.
        MismatchError: the Run or file is no composer, or one for another encoder.
    """
    if name in BASELINES:
        if options:
            raise UsageError(f"The composer {name} has no options: leave out {options[0]}.")
        return _baseline(name, encoder, picture_weight, prompt)
    method, colon, file = name.partition(":")
    if method in (known := _composing()):  # a folder of that name is ./NAME
        found = known[method]
        path: Path | None = Path(file).expanduser() if colon else None
    elif Path(name).is_dir():
        found = _of_run(Path(name))
        path = Path(name)
    else:
        raise UsageError(
            f"There is no composer {name!r} and no Run of that path; "
            f"{near(name, [*BASELINES, *known])}"
        )
    composer = _made(
        found, encoder, path, picture_weight=picture_weight, prompt=prompt, options=options
    )
    if composer is None:
        raise UsageError(
            f"{found.name} has nothing at hand for {encoder.name}: train it, and give the Run's "
            "path as composer."
        )
    return composer


def default_composer(
    encoder: Encoder, *, picture_weight: float | None = None, prompt: str | None = None
) -> tuple[Composer, tuple[str, ...]]:
    """What composes where nobody has said how, and the names of all that could have.

    That is a trained composer which is at hand for this encoder and whose card says that it did
    better than the sum (`is_default`), else the sum.
    """
    trained = {
        name: composer
        for name, method in _composing().items()
        if (composer := _made(method, encoder, None, picture_weight=picture_weight, prompt=prompt))
    }
    for composer in trained.values():
        if getattr(composer, "is_default", False):
            return composer, ("sum", *trained)
    return _baseline("sum", encoder, picture_weight, prompt), ("sum", *trained)


def _baseline(
    name: str, encoder: Encoder, picture_weight: float | None, prompt: str | None
) -> WeightedSum:
    if picture_weight is not None and name not in ("sum", "slerp"):
        raise UsageError(f"--picture-weight belongs to sum and slerp, not to {name}.")
    if prompt is not None:
        raise UsageError(
            f"The composer {name} puts no picture into a sentence: it has no --prompt."
        )
    share = BASELINES[name] if picture_weight is None else picture_weight
    return (Slerp if name == "slerp" else WeightedSum)(encoder, share, name=name)


def _composing() -> dict[str, Method]:
    return {name: method for name, method in methods().items() if method.composer is not None}


def _of_run(folder: Path) -> Method:
    """The method of a Run that is a composer."""
    from vretr.training.run import Run

    run = Run.open(folder)
    found = methods().get(run.method)
    if run.kind != "composer" or found is None or found.composer is None:
        raise MismatchError(f"The run {display(folder)} holds a {run.kind}, not a composer.")
    return found


def _made(
    method: Method,
    encoder: Encoder,
    path: Path | None,
    *,
    picture_weight: float | None,
    prompt: str | None,
    options: Sequence[str] = (),
) -> Composer | None:
    assert method.composer is not None
    further = {}
    if method.composer_options is not None:
        further["options"] = parsed(options, thing(method.composer_options))
    elif options:
        raise UsageError(f"The composer {method.name} has no options: leave out {options[0]}.")
    return thing(method.composer)(
        encoder, path, picture_weight=picture_weight, prompt=prompt, **further
    )
