"""The documents name commands, options and files that exist, and README every command."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import command

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
DOCUMENTS = sorted(
    path.relative_to(REPOSITORY)
    for path in (
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        *REPOSITORY.glob("benchmarks/**/*.md"),
        *(card for init in REPOSITORY.glob("*/__init__.py") for card in init.parent.rglob("*.md")),
    )
)

FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_-]*…?|<.*|…|\.\.\.|\{.*|\[.*")  # METHOD, <method>, ...
OPTION = re.compile(r"--?[A-Za-z0-9][\w-]*")


def lines_of(text: str) -> Iterator[list[str]]:
    """The words after `vretr` of every command line in a document's code blocks and spans."""
    for code in [*FENCE.findall(text), *SPAN.findall(FENCE.sub("", text))]:
        for line in code.replace("\\\n", " ").splitlines():
            yield from _called(line)


def _called(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that is never closed: prose or output, no command line
        return
    part: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|&;<>"):
            if part[:1] == ["vretr"]:
                yield part[1:]
            elif part[:3] == ["python", "-m", "cli"]:
                yield part[3:]
            part = []
        else:
            part.append(word)


def problem_with(words: list[str]) -> str | None:
    """What does not exist of a command line, or None."""
    group: Any = command()
    context = group.make_context("vretr", [], resilient_parsing=True)
    for word in words:
        if word == "--":
            return None
        if word.startswith("-"):
            option = word.split("=")[0]
            known = {o for p in group.get_params(context) for o in (*p.opts, *p.secondary_opts)}
            number = option[1:].isdecimal() and option != "-0"
            if OPTION.fullmatch(option) and not number and option not in known:
                return f"{context.command_path} has no option {option}"
        elif hasattr(group, "commands"):
            if PLACEHOLDER.fullmatch(word):
                return None
            if group.get_command(context, word) is None:
                return f"{context.command_path} has no command {word}"
            _, group, _ = group.resolve_command(context, [word])
            context = group.make_context(word, [], parent=context, resilient_parsing=True)
    return None


def every_command() -> dict[str, Any]:
    """Every command that can be called: "query", "train lite", "encoders pull", ..."""
    found: dict[str, Any] = {}

    def walk(group: Any, context: Any, path: str) -> None:
        for name in group.list_commands(context):
            _, below, _ = group.resolve_command(context, [name])
            inner = below.make_context(name, [], parent=context, resilient_parsing=True)
            if not hasattr(below, "commands") or below.invoke_without_command:
                found[f"{path}{name}"] = below
            if hasattr(below, "commands"):
                walk(below, inner, f"{path}{name} ")

    root = command()
    walk(root, root.make_context("vretr", [], resilient_parsing=True), "")
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_command_and_option_of_a_document_exists(path: Path) -> None:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    problems = {problem for words in lines_of(text) if (problem := problem_with(words))}
    assert not problems


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    text = FENCE.sub("", (REPOSITORY / path).read_text(encoding="utf-8"))
    links = [link for link in LINK.findall(text) if "://" not in link and "mailto:" not in link]
    assert [link for link in links if not (REPOSITORY / path.parent / link).exists()] == []


def test_readme_names_every_command() -> None:
    named = " ".join(f"vretr {' '.join(words)} ;" for words in lines_of(README.read_text("utf-8")))
    assert [name for name in every_command() if f"vretr {name} " not in named] == []


def test_every_option_says_what_it_does() -> None:
    silent = [
        f"{name} {param.opts[0]}"
        for name, found in every_command().items()
        for param in found.params
        if not param.hidden and not param.help
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("`vretr query --text red`", [["query", "--text", "red"]]),
        (
            "``` console\n$ vretr index photos/ && vretr query \\\n  -k 3\n```",
            [["index", "photos/"], ["query", "-k", "3"]],
        ),
        ("```\nls | vretr index - > log; python -m cli -h\n```", [["index", "-"], ["-h"]]),
        ("vretr query outside of code, and `import vretr`", []),
    ],
)
def test_command_lines_are_found(text: str, lines: list[list[str]]) -> None:
    assert list(lines_of(text)) == lines


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("query --txt red", "vretr query has no option --txt"),
        ("find red", "vretr has no command find"),
        ("train light --steps 3", "vretr train has no command light"),
        ("train METHOD --help", None),
        ("--version", None),
        ("query --text red -k 3 --offline", None),
        ("query -0 --text=red -- --text", None),
        ("train lite --steps 3 --no-resume", None),
        ("train lite --stops=3", "vretr train lite has no option --stops"),
    ],
)
def test_what_does_not_exist_is_noticed(line: str, problem: str | None) -> None:
    assert problem_with(line.split()) == problem
