"""What tests of the command line share: real processes, and a method that somebody else brings."""

import os
import pty
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a process ended; text is decoded as the system decodes file names."""

    code: int
    out: str
    err: str
    seconds: float  # of processor time


Vretr = Callable[..., Ended]


@pytest.fixture
def vretr(tmp_path: Path) -> Vretr:
    """Runs `python -m cli ARGUMENTS...` in an own process, in `tmp_path` unless told."""

    def run(
        *arguments: str | bytes,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        stdin: bytes = b"",
        python: Sequence[str] = ("-m", "cli"),
    ) -> Ended:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(
            [sys.executable, *python, *arguments],
            cwd=cwd or tmp_path,
            env=environment(env),
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Ended(
            ended.returncode, os.fsdecode(ended.stdout), os.fsdecode(ended.stderr), seconds
        )

    return run


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the command with pipes and lets it run; what still runs at the end is killed."""
    processes = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            cwd=tmp_path,
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def on_terminal(tmp_path: Path) -> Callable[..., str]:
    """Runs the command on a terminal of 80 columns and returns all that it wrote there."""

    def run(
        *arguments: str,
        env: dict[str, str] | None = None,
        expected: int = 0,
        python: Sequence[str] = ("-m", "cli"),
    ) -> str:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, *python, *arguments],
            cwd=tmp_path,
            env=environment({"TERM": "xterm", "COLUMNS": "80"} | (env or {})),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        written = bytearray()
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:  # how Linux says that the other end was closed
            pass
        finally:
            os.close(ours)
        assert process.wait(60) == expected, written
        return written.decode()

    return run


def environment(further: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what changes how the command speaks."""
    left_out = (
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "VRETR_INDEX",
        "VRETR_OFFLINE",
        "HF_HUB_OFFLINE",
    )
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    further = dict(further or {})
    path = [further.pop("PYTHONPATH", ""), str(REPOSITORY), kept.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, path))} | further


@pytest.fixture(scope="session")
def tiny() -> dict[str, str]:
    """An environment in which a package with the encoder `tiny` is installed."""
    return {"PYTHONPATH": str(Path(__file__).parent / "site")}


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which a package with the method `toy` is installed."""
    folder = tmp_path_factory.mktemp("site")
    for name, text in TOY.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text).lstrip())
    return {"PYTHONPATH": str(folder)}


TOY = {
    "toy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
    "toy-1.0.dist-info/entry_points.txt": "[vretr.methods]\ntoy = toy:METHOD\n",
    "toy/__init__.py": """
        from vretr.methods import Method, Verb

        METHOD = Method(
            name="toy",
            summary="A method for play.",
            train=Verb("toy.work:train", "toy.config:TrainConfig"),
            evaluate=Verb("toy.work:evaluate", "toy.config:EvalConfig"),
            commands={
                "find-toys": Verb("toy.work:find", "toy.config:FindConfig", "Find the toys."),
                "break-toys": Verb("toy.work:fail", "toy.config:FailConfig", "Fail somehow."),
            },
        )
        """,
    "toy/config.py": '''
        from __future__ import annotations

        from dataclasses import dataclass, field
        from pathlib import Path
        from typing import Annotated, Literal

        from vretr.methods import ARGUMENT

        BACKBONES = ("ViT-B", "ViT-L")


        def colours() -> list[str]:
            return ["red", "rose", "blue"]


        @dataclass(frozen=True, kw_only=True)
        class Base:
            """The loop."""

            steps: Annotated[int, "Steps in all."] = 10
            lr: Annotated[float, "Learning rate."] = 0.1
            out: Annotated[Path | None, "Folder of the run."] = None

            def __post_init__(self) -> None:
                if self.steps < 1:
                    raise ValueError(f"steps is {self.steps}, but must be at least 1")


        @dataclass(frozen=True, kw_only=True)
        class TrainConfig(Base):
            """Toys."""

            backbone: Annotated[str, "Image model.", BACKBONES] = "ViT-B"
            colour: Annotated[str, "Colour of the toy.", colours] = "red"
            noise: Annotated[Literal["gauss", "uniform"], "Kind of noise."] = "gauss"
            amp: Annotated[bool, "Less precise."] = True
            betas: Annotated[tuple[float, float], "Of the optimiser."] = (0.9, 0.999)
            prompts: Annotated[tuple[str, ...], "Templates, repeatable."] = ("a photo",)
            layers: Annotated[list[int], "Which layers."] = field(default_factory=lambda: [3, 4])
            secret: int = field(default=0, init=False)


        @dataclass(frozen=True, kw_only=True)
        class EvalConfig:
            data: Annotated[Path, "Where the data lies."]
            published: Annotated[bool, "With the published row."] = True


        @dataclass(frozen=True, kw_only=True)
        class FindConfig:
            pictures: Annotated[list[Path], "Pictures.", ARGUMENT]


        @dataclass(frozen=True, kw_only=True)
        class FailConfig:
            how: Annotated[str, "In which way.", ARGUMENT]
        ''',
    "toy/work.py": """
        import logging
        import os
        import signal
        import sys
        import time
        import warnings
        from dataclasses import asdict
        from pathlib import Path
        from types import SimpleNamespace

        from vretr import errors
        from vretr.methods import Report
        from vretr.paths import offline


        def train(config):
            print(f"{asdict(config)} offline={offline()}", file=sys.stderr)
            metrics = {"recall@10": 0.25, "loss": 1.5}
            return SimpleNamespace(folder=Path.cwd() / "runs" / "toy", about={"metrics": metrics})


        def evaluate(config):
            published = {"the paper": {"recall@10": 0.5}} if config.published else {}
            return Report(
                dataset=str(config.data), split="val", metrics={"recall@10": 0.25, "map@5": 1 / 3},
                settings={"encoder": "lite", "folder": config.data}, published=published,
            )


        def find(config):
            return ({"path": str(path), "size": len(str(path))} for path in config.pictures)


        def fail(config):
            logging.getLogger("toy").warning("a library's warning\\x1b[31m")
            logging.getLogger("toy").info("a library's chatter")
            warnings.warn("old habits", FutureWarning)
            if config.how == "bug":
                return {}["missing"]
            if config.how == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(30)
            if config.how == "hang":
                try:
                    print("ready", flush=True)
                    time.sleep(30)
                finally:
                    print("cleaning", flush=True)
                    time.sleep(30)
            if config.how == "pipe":
                raise BrokenPipeError(32, "Broken pipe")
            if config.how == "flood":
                return ({"line": "x" * 1000} for _ in range(10_000))
            raise {
                "plain": errors.VretrError("It cannot be done."),
                "usage": errors.UsageError("There is no such thing."),
                "mismatch": errors.MismatchError("The index was made with another encoder."),
                "permission": PermissionError(13, "Permission denied", "/a/\\x1b]0;title\\x07b"),
                "full": OSError(28, "No space left on device", "index.sqlite"),
                "memory": MemoryError(),
                "torch": type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
            }[config.how]
        """,
}
