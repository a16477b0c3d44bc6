"""Help, completion and version cost next to nothing: no torch, and little processor time."""

import os

import pytest

# fmt: off
HEAVY = {
    "torch", "torchvision", "timm", "open_clip", "faiss", "datasets", "accelerate", "transformers",
    "tokenizers", "pandas", "matplotlib", "scipy", "sklearn", "skimage", "pyarrow",
    "huggingface_hub", "numpy", "PIL", "pydantic", "rich",
}
# fmt: on
LIMIT = 0.35  # seconds of processor time, start of Python included

# Runs the command line as `vretr` does, then tells which heavy packages were imported.
PROBE = """
import atexit, sys
atexit.register(lambda: print("imported:", *sorted({heavy} & set(sys.modules)), file=sys.stderr))
{before}
from cli.main import main
main()
"""

LINES = (
    ["--help"],
    ["--version"],
    ["train", "--help"],
    ["eval", "--help"],
    ["train", "toy", "--help"],
    ["find-toys", "--help"],
    ["index", "--help"],
    ["query", "--help"],
    ["encoders", "--help"],
    ["train", "lite", "--help"],
    ["eval", "retrieval", "--help"],
    ["eval", "cir", "--help"],
    ["train", "lincir", "--help"],
    ["eval", "lincir", "--help"],
    ["lincir-export", "--help"],
    ["train", "compodiff", "--help"],
    ["eval", "compodiff", "--help"],
    ["detect-lines", "--help"],
    ["train", "metric", "--help"],
    ["eval", "metric", "--help"],
    ["train", "pooling", "--help"],
    ["eval", "pooling", "--help"],
    ["train", "compodiff", "--help"],
    ["eval", "compodiff", "--help"],
    ["build-triplets", "--help"],
)


def imported(vretr, toy: dict[str, str], *line: str, before: str = "", **env: str) -> list[str]:
    ended = vretr(*line, env=toy | env, python=("-c", PROBE.format(heavy=HEAVY, before=before)))
    assert ended.code == 0, ended.err
    return ended.err.split("imported:")[1].split()


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_help_imports_nothing_heavy(vretr, toy, line: list[str]) -> None:
    assert imported(vretr, toy, *line) == []


def test_completion_imports_nothing_heavy(vretr, toy) -> None:
    asked = {"_VRETR_COMPLETE": "complete_bash", "COMP_WORDS": "vretr train ", "COMP_CWORD": "2"}
    assert imported(vretr, toy, **asked) == []


def test_the_check_can_fail(vretr, toy) -> None:
    assert "numpy" in imported(vretr, toy, "--help", before="import numpy")


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_help_is_quick(vretr, toy, line: list[str]) -> None:
    """Processor time, not time on the clock; a few tries, for the first one writes bytecode."""
    spent: list[float] = []
    while len(spent) < 5 and min(spent, default=1) > LIMIT:
        spent.append(vretr(*line, env=toy).seconds)
    assert min(spent) <= LIMIT, f"{os.getloadavg()[0]:.1f} processes beside; {spent}"


def test_the_clock_can_fail(vretr) -> None:
    code = "import time\nwhile time.process_time() < 0.5: pass"
    assert vretr(python=("-c", code)).seconds > LIMIT
