"""Who may import whom, read from the syntax trees: also what is imported inside a function.

import-linter says the same for the floors; this runs wherever the tests run, and knows more rooms.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = [
    pattern.removesuffix("*")
    for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
]
METHODS = [name for name in PACKAGES if name not in ("vretr", "cli")]
FILES = sorted(path for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py"))

# What `vretr --help`, completion and a query in words must not pay for.
HEAVY = {
    *("torch", "torchvision", "timm", "open_clip", "faiss", "datasets", "accelerate"),
    *("transformers", "pandas", "matplotlib", "scipy", "sklearn", "skimage", "pyarrow"),
}

# Tables and plots; and how far a training of days is, on stderr.
MAY_SPEAK = {Path("vretr/report.py"), Path("vretr/progress.py")}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all modules that the code imports anywhere; relative ones stay at home."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif isinstance(node, ast.Call) and _called(node) == "import_module":
            yield from (str(name.value) for name in node.args if isinstance(name, ast.Constant))


def at_module_level(tree: ast.Module) -> ast.Module:
    """The code that runs on import: no function bodies, nothing under `if TYPE_CHECKING`."""

    class Cut(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return node.orelse
            return self.generic_visit(node)

    return Cut().visit(tree)


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def rooms(tree: ast.AST) -> set[str]:
    """Top-level packages that the code imports."""
    return {name.split(".")[0] for name in imports(tree)}


def may_import(package: str) -> set[str]:
    """Which of our packages a package may import."""
    if package == "cli":
        return {"cli", "vretr"}  # methods are reached by their entry points only
    return {"vretr", package}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_light(path: Path) -> bool:
    """Whether help, completion or a listing imports this file."""
    return path.name in ("__init__.py", "config.py", "names.py") or path.parts[0] == "cli"


LIGHT = [path for path in FILES if is_light(path.relative_to(REPOSITORY))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_room_imports_only_what_lies_below(path: Path) -> None:
    package = path.relative_to(REPOSITORY).parts[0]
    ours = rooms(parsed(path)) & {*PACKAGES, "tests", "benchmarks"}
    assert ours <= may_import(package)


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_light_modules_import_nothing_heavy(path: Path) -> None:
    assert rooms(at_module_level(parsed(path))) & HEAVY == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_only_the_command_line_speaks(path: Path) -> None:
    """The library returns, raises or logs; it neither prints nor ends the process."""
    where = path.relative_to(REPOSITORY)
    if where.parts[0] == "cli" or where in MAY_SPEAK:
        return
    tree = parsed(path)
    calls = {_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"print", "exit", "_exit", "basicConfig"}
    assert not rooms(tree) & {"typer", "rich"}


def test_every_package_is_looked_at() -> None:
    assert {"vretr", "cli"} <= {path.relative_to(REPOSITORY).parts[0] for path in FILES}
    assert REPOSITORY / "cli" / "main.py" in LIGHT


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import cli.main", {"cli"}),
        ("def f():\n    from lincir.model import Lincir", {"lincir"}),
        ("import_module('cli.query')", {"cli"}),
        ("from . import beside", set()),
    ],
)
def test_the_search_for_imports_finds_them(code: str, found: set[str]) -> None:
    assert rooms(ast.parse(code)) == found


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import torch.nn as nn", True),
        ("try:\n    from torch import Tensor\nexcept ImportError:\n    pass", True),
        ("class A:\n    import torch", True),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import json", False),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import torch", True),
        ("def f():\n    import torch", False),
    ],
)
def test_the_search_at_module_level_knows_what_runs(code: str, heavy: bool) -> None:
    assert ("torch" in rooms(at_module_level(ast.parse(code)))) is heavy
