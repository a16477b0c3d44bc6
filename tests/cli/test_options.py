"""A config dataclass becomes options; `--config` stands between them and the defaults."""

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from cli.lazy import PlainCommand, command_of
from cli.options import function_of, starting
from vretr.methods import ARGUMENT


@dataclass(frozen=True, kw_only=True)
class Base:
    """The loop.

    More about it.
    """

    seed: Annotated[int, "Random seed."] = 0
    lr: Annotated[float, "Learning rate."] = 0.1
    out: Annotated[Path | None, "Folder of the run."] = None


@dataclass(frozen=True, kw_only=True)
class Config(Base):
    lr: Annotated[float, "Learning rate, here higher."] = 0.5
    pictures: Annotated[tuple[Path, ...], "Pictures.", ARGUMENT]
    backbone: Annotated[str, "Image model.", ("ViT-B", "ViT-L")] = "ViT-B"
    noise: Annotated[Literal["gauss", "uniform"], "Kind of noise."] = "gauss"
    amp: Annotated[bool, "Less precise."] = True
    betas: Annotated[tuple[float, float], "Of the optimiser."] = (0.9, 0.999)
    prompts: Annotated[tuple[str, ...], "Templates."] = ("a photo",)
    layers: Annotated[list[int], "Which layers."] = field(default_factory=lambda: [3, 4])
    limit: Annotated[int | None, "At most so many."] = None
    computed: int = field(default=7, init=False)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit is {self.limit}, but must be 0 or more")


def parsed(*line: str) -> tuple[Config, bool]:
    """What the function would get for a command line."""
    got: list[Any] = []
    command = command_of(function_of(Config, lambda *each: got.append(each)), name="toy")
    command.main(list(line), standalone_mode=False)
    return got[0]


def fails(*line: str) -> str:
    """What is said on stderr about a command line that is wrong usage."""
    function = function_of(Config, lambda *_: pytest.fail("it ran"))
    app = typer.Typer(rich_markup_mode=None)
    app.command("toy")(function)
    ended = CliRunner().invoke(app, list(line))
    assert ended.exit_code == 2, ended.output
    return " ".join(ended.stderr.split())


def test_without_options_the_defaults_hold() -> None:
    config, as_json = parsed("a.jpg")
    assert config == Config(pictures=(Path("a.jpg"),))
    assert not as_json


def test_every_kind_of_field_is_read_from_the_line() -> None:
    line = (
        "--lr 2e-3 --seed 9 --out runs/x --backbone mine --noise uniform --no-amp --betas 0.8 0.9"
        " --prompts one --prompts two --layers 7 --limit 5 --json a.jpg -- -b.jpg"
    )
    config, as_json = parsed(*line.split())
    assert as_json
    assert config == Config(
        lr=2e-3,
        seed=9,
        out=Path("runs/x"),
        pictures=(Path("a.jpg"), Path("-b.jpg")),
        backbone="mine",
        noise="uniform",
        amp=False,
        betas=(0.8, 0.9),
        prompts=("one", "two"),
        layers=[7],
        limit=5,
    )


def test_values_have_the_declared_types() -> None:
    config, _ = parsed("a.jpg", "--prompts", "x")
    assert type(config.pictures) is tuple
    assert type(config.prompts) is tuple
    assert type(config.betas) is tuple
    assert type(config.layers) is list


TOML = """
lr = 1
seed = 9
out = "runs/x"
pictures = ["c.jpg", "d.jpg"]
backbone = "ViT-L"
noise = "uniform"
amp = false
betas = [0.8, 0.9]
prompts = ["one", "two"]
layers = [7]
limit = 5
"""


def test_a_toml_file_goes_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(TOML)
    config, _ = parsed("--config", str(file))
    assert config == Config(
        lr=1.0,
        seed=9,
        out=Path("runs/x"),
        pictures=(Path("c.jpg"), Path("d.jpg")),
        backbone="ViT-L",
        noise="uniform",
        amp=False,
        betas=(0.8, 0.9),
        prompts=("one", "two"),
        layers=[7],
        limit=5,
    )


@pytest.mark.parametrize("last", [True, False])
def test_the_line_goes_before_the_toml_file(tmp_path: Path, last: bool) -> None:
    file = tmp_path / "config.toml"
    file.write_text(TOML)
    given = ["--config", str(file)]
    line = ["--amp", "--lr", "3", "--prompts", "mine", "mine.jpg"]
    config, _ = parsed(*(line + given if last else given + line))
    assert (config.amp, config.lr, config.prompts) == (True, 3.0, ("mine",))
    assert config.pictures == (Path("mine.jpg"),)
    assert config.seed == 9


def test_names_in_the_toml_file_may_be_spelled_as_options(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Dashed:
        batch_size: Annotated[int, "Samples a step."] = 1

    file = tmp_path / "config.toml"
    for spelling in ("batch-size", "batch_size"):
        file.write_text(f"{spelling} = 8")
        got: list[Any] = []
        command = command_of(function_of(Dashed, lambda *each, got=got: got.append(each)), name="x")
        command.main(["--config", str(file)], standalone_mode=False)
        assert got[0][0] == Dashed(batch_size=8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 1", "sets 'sed', which is no option here; did you mean seed"),
        ("computed = 1", "sets 'computed'"),
        ("config = 'other.toml'", "sets 'config'"),
        ("json = true", "sets 'json'"),
        ("seed = 'many'", "'--seed'"),
        ("noise = 'pink'", "'--noise'"),
        ("seed 1", "cannot be read as TOML"),
        ("limit = -1", "limit is -1, but must be 0 or more"),
    ],
)
def test_a_wrong_toml_file_is_wrong_usage(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert said in fails("a.jpg", "--config", str(file))


def test_a_toml_file_that_is_none(tmp_path: Path) -> None:
    assert "does not exist" in fails("a.jpg", "--config", str(tmp_path / "no.toml"))
    assert "is a directory" in fails("a.jpg", "--config", str(tmp_path))
    (tmp_path / "latin.toml").write_bytes(b'out = "\xe9"')
    assert "cannot be read as TOML" in fails("a.jpg", "--config", str(tmp_path / "latin.toml"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["a.jpg", "--limit", "-1"], "limit is -1, but must be 0 or more"),
        (["a.jpg", "--seed", "1.5"], "--seed"),
        (["a.jpg", "--noise", "pink"], "--noise"),
        (["a.jpg", "--betas", "1"], "--betas"),
        ([], "pictures"),
    ],
)
def test_impossible_values_are_wrong_usage(line: list[str], said: str) -> None:
    assert said in fails(*line)


def test_help_is_made_of_the_fields() -> None:
    app = typer.Typer(rich_markup_mode=None)
    app.command("toy", cls=PlainCommand)(function_of(Config, lambda *_: None))
    text = CliRunner().invoke(app, ["--help"]).output
    assert "--backbone <str>" in text and "Image model.  [default: ViT-B]" in text
    assert "--amp / --no-amp" in text
    assert "<gauss|uniform>" in text
    assert "computed" not in text
    own, inherited = text.split("The loop:")  # first line of the docstring of Base
    assert "--backbone" in own and "--seed" not in own
    assert "--seed" in inherited and "[default: 0.5]" in inherited  # lr: declared by Base


def test_annotations_may_be_strings() -> None:
    namespace: dict[str, Any] = {}
    exec(  # a module with `from __future__ import annotations`
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import Annotated\n"
        "@dataclass(frozen=True)\n"
        "class Late:\n"
        "    words: Annotated[tuple[str, ...], 'Words.'] = ('a', 'b')\n",
        namespace,
    )
    late = namespace["Late"]
    late.__module__ = __name__  # where its annotations are looked up
    parameters = inspect.signature(function_of(late, lambda *_: None)).parameters
    assert parameters["words"].default == ["a", "b"]


def test_open_lists_complete_what_was_begun() -> None:
    assert starting(("ViT-B", "ViT-L", "lite"))("ViT") == ["ViT-B", "ViT-L"]
    assert starting(lambda: ["late", "lite", "x"])("l") == ["late", "lite"]
    assert starting(("a",))("b") == []
