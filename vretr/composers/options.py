"""Options of a composer as they are typed, `steps=3`: fields of its config dataclass. No NumPy."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from vretr.errors import UsageError
from vretr.methods import methods, near, thing

Options = TypeVar("Options")


def parsed(given: Sequence[str], kind: type[Options]) -> Options:
    """A config of class `kind` out of texts NAME=VALUE; hyphens are as good as underscores.

    Raises:
        UsageError: there is no such option, it is given twice, or its value is impossible.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        field = name.strip().replace("-", "_")
        if field not in names:
            shown = [known.replace("_", "-") for known in names]
            raise UsageError(f"There is no composer option {name!r}; {near(name, shown)}")
        if not equals:
            raise UsageError(f"A composer option is NAME=VALUE, as in {name}=1.")
        if field in values:
            raise UsageError(f"The composer option {name} is given twice.")
        values[field] = _value(name, value.strip(), hints[field])
    try:
        return kind(**values)
    except ValueError as problem:
        raise UsageError(f"This composer option is not possible: {problem}.") from problem


def known_options() -> Iterable[str]:
    """Every option of every method's composer, for completion: `steps=`."""
    for method in methods().values():
        if method.composer_options is not None:
            for field in fields(thing(method.composer_options)):
                yield f"{field.name.replace('_', '-')}="


def _value(name: str, text: str, hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    if get_origin(hint) is Literal:
        if text not in kinds:
            raise UsageError(f"{name} must be {' or '.join(map(str, kinds))}, not {text!r}.")
        return text
    try:
        return kinds[0](text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[kinds[0]]
        raise UsageError(f"{name} must be {wanted}, not {text!r}.") from None
