"""`vretr query --batch`: a query a line in, a JSON object a line out, in the same order."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import console
from vretr.errors import UsageError, VretrError
from vretr.methods import near
from vretr.paths import display, json_fields

if TYPE_CHECKING:
    from vretr.index import Hit
    from vretr.query import Query
    from vretr.searcher import Searcher

TOGETHER = 256  # queries whose words are encoded and searched together
CHUNK = 1 << 16  # bytes


def opened(file: Path) -> BufferedReader:
    """The file with the queries; `-` is stdin."""
    if str(file) == "-":
        return open(0, "rb", closefd=False)
    try:
        return file.open("rb")
    except OSError as problem:
        raise UsageError(
            f"The batch {display(file)} cannot be read: {problem.strerror}."
        ) from problem


def answer_lines(lines: BufferedReader, searcher: "Searcher", rest: Mapping[str, Any]) -> int:
    """Answers every line and returns the exit code: 3 where one could not be answered.

    Args:
        rest: what the command line says for lines that do not say it: k, min_score, ...
    """
    asked = failed = 0
    said = False
    for block in blocks(lines):
        given, queries = zip(*(read(line, rest) for line in block), strict=True)
        readable = [query for query in queries if not isinstance(query, VretrError)]
        said = said or say_composer(searcher, readable)
        answers = iter(searcher.answer_all(readable, fits=True))
        for words, query in zip(given, queries, strict=True):
            answer = query if isinstance(query, VretrError) else next(answers)
            asked += 1
            if isinstance(answer, VretrError):
                failed += 1
                console.print_json({"query": words, "error": str(answer)})
            else:
                console.print_json({"query": words, "hits": [hit_object(hit) for hit in answer]})
    if failed:
        console.warn(f"{failed} of {asked} queries could not be answered")
    return 3 if failed else 0


def say_composer(searcher: "Searcher", queries: Sequence["Query"]) -> bool:
    """Says which composer was chosen, where there was a choice and it matters; whether it did."""
    if len(searcher.choice) < 2 or not any(query.composed for query in queries):
        return False
    others = ", ".join(name for name in searcher.choice if name != searcher.composer.name)
    console.note(
        f"Pictures and words are composed by {searcher.composer.name}; --composer takes {others} "
        "as well."
    )
    return True


def blocks(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Lines that hold something, up to TOGETHER at a time.

    What has arrived is answered without waiting for more, so that a program may ask, read the
    answer and ask again.
    """
    rest = b""
    while chunk := stream.read1(CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        lines = (line for line in whole if line.strip())
        while block := list(islice(lines, TOGETHER)):
            yield block
    if rest.strip():
        yield [rest]


def read(line: bytes, rest: Mapping[str, Any]) -> tuple[Any, "Query | VretrError"]:
    """A line as it was given, and the query it means or why it means none."""
    from vretr.query import Query

    given: dict[str, Any] = {"text": line.decode("utf-8", "replace").strip()}
    try:
        words = line.decode("utf-8").strip()
        if not words.startswith("{"):
            return given, Query(text=[words], **rest)
        given = json.loads(words, parse_constant=_no_constant)
        return given, Query(**{**rest, **_fields(given)})
    except VretrError as problem:
        return given, problem
    except UnicodeDecodeError:
        return given, UsageError("The line is not UTF-8.")
    except (ValueError, RecursionError) as problem:  # from json
        return given, UsageError(f"A line that begins with {{ must be a JSON object: {problem}.")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {}
    for option, value in given.items():
        name = option.replace("-", "_")
        if name not in READERS:
            known = [known.replace("_", "-") for known in READERS]
            raise UsageError(f"There is no option {option!r} in a batch; {near(option, known)}")
        try:
            fields[name] = READERS[name](value)
        except TypeError as problem:
            raise UsageError(f"{option} must be {problem}, not {json.dumps(value)}.") from None
    return fields


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def _path(value: Any) -> Path:
    return Path(_text(value))


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("a number")
    return float(value)


def _number_or_auto(value: Any) -> float | str:
    if value == "auto":
        return "auto"
    try:
        return _number(value)
    except TypeError:
        raise TypeError('a number or "auto"') from None


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _box(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != 4:
        raise TypeError("[left, top, width, height] in pixels")
    return tuple(map(_whole, value))


def _several(reader: Callable[[Any], Any]) -> Callable[[Any], Sequence[Any]]:
    """One value or a list of them."""

    def read_all(value: Any) -> Sequence[Any]:
        return [reader(each) for each in value] if isinstance(value, list) else [reader(value)]

    return read_all


def _or_none(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else reader(value)


# Option -> what makes its value of JSON; raises TypeError with what it should be.
READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": _several(_text),
    "image": _several(_path),
    "not_text": _several(_text),
    "not_image": _several(_path),
    "text_weight": _several(_number),
    "image_weight": _several(_number),
    "not_text_weight": _several(_number),
    "not_image_weight": _several(_number),
    "mask": _or_none(_path),
    "mask_box": _or_none(_box),
    "k": _whole,
    "min_score": _or_none(_number_or_auto),
    "filter": _or_none(_text),
    "include_self": _flag,
}


def hit_object(hit: "Hit") -> dict[str, Any]:
    """A hit as `--json` writes it; the path is what a pipe would get."""
    return {
        **json_fields(console.shown(hit.path)),
        "score": float(hit.score),
        "rank": hit.rank,
        "fit": hit.fit,
    }
