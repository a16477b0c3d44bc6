"""Weights on this machine and on a hub that runs in the test."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from vretr.encoders.files import Source, fetch, find
from vretr.errors import VretrError

SOURCE = Source.of_weights("org/model", "open_clip_pytorch_model.bin")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def in_hub_cache(hub: Path, name: str, content: bytes = b"x") -> Path:
    folder = hub / "models--org--model"
    file = folder / "snapshots" / COMMIT / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return file


@pytest.mark.parametrize(
    ("file", "names"),
    [
        (
            "open_clip_pytorch_model.bin",
            ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
        ),
        ("pytorch_model.bin", ("model.safetensors", "pytorch_model.bin")),
        ("deep/x.v1.pt", ("deep/x.v1.safetensors", "deep/x.v1.pt")),
        ("x.safetensors", ("x.safetensors",)),
    ],
)
def test_safetensors_come_first(file: str, names: tuple[str, ...]) -> None:
    assert Source.of_weights("org/model", file).files == names


def test_one_order_of_places(tmp_path: Path) -> None:
    assert find(SOURCE) is None
    low = in_hub_cache(tmp_path / "hub", "open_clip_pytorch_model.bin")
    assert find(SOURCE) == low
    better = in_hub_cache(tmp_path / "hub", "open_clip_model.safetensors")
    assert find(SOURCE) == better
    own = tmp_path / "home" / "weights" / "org" / "model" / "open_clip_pytorch_model.bin"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find(SOURCE) == own
    assert fetch(SOURCE) == own


@pytest.mark.parametrize("variable", ["VRETR_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_says_what_to_put_where(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(VretrError) as caught:
        fetch(SOURCE)
    said = str(caught.value)
    assert caught.value.exit_code == 1
    assert "\n" not in said
    for part in ("org/model", "open_clip_model.safetensors", "ARCH@", "network is off"):
        assert part in said
    assert str(tmp_path / "home" / "weights" / "org" / "model") in said


def test_a_cache_that_another_program_left_half_way(tmp_path: Path) -> None:
    file = in_hub_cache(tmp_path / "hub", "open_clip_model.safetensors")
    file.unlink()
    assert find(SOURCE) is None
    file.symlink_to("../../blobs/gone")
    assert find(SOURCE) is None


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs. Paths: /ORG/NAME/resolve/main/FILE."""

    files: ClassVar[dict[str, bytes]]
    states_wrongly = False

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        repository, _, name = self.path.strip("/").partition("/resolve/")
        name = name.partition("/")[2]
        content = self.files.get(name) if repository == "org/model" else None
        if repository == "org/gated" or content is None:
            code = "GatedRepo" if repository == "org/gated" else "RepoNotFound"
            if repository == "org/model":
                code = "EntryNotFound"
            self.send_response(403 if code == "GatedRepo" else 404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        stated = hashlib.sha256(b"other" if self.states_wrongly else content).hexdigest()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{stated}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    class Own(Hub):
        files: ClassVar = {
            "open_clip_pytorch_model.bin": b"tensors",
            "open_clip_config.json": b"{}",
        }

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", Own
    server.shutdown()
    server.server_close()


def in_a_process(endpoint: str, *sources: Source) -> dict[str, str]:
    """Fetches in an own process: the hub's library reads its address once, when imported."""
    program = (
        "import json, logging, sys; logging.basicConfig(format='%(message)s');"
        "from vretr.encoders.files import Source, fetch; from vretr.errors import VretrError\n"
        "try: print(json.dumps({'path': str(fetch(Source(*json.loads(sys.argv[1])), "
        "licence='MIT'))}))\n"
        "except VretrError as error: print(json.dumps({'error': str(error)}))"
    )
    (source,) = sources
    ended = subprocess.run(
        [sys.executable, "-c", program, json.dumps([source.repository, source.files])],
        env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return {**json.loads(ended.stdout.splitlines()[-1]), "stderr": ended.stderr}


def test_what_is_fetched_lies_in_the_hubs_cache(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    found = in_a_process(hub[0], SOURCE)
    path = Path(found["path"])
    assert path.read_bytes() == b"tensors"
    assert path.is_relative_to(tmp_path / "hub")
    assert find(SOURCE) == path
    assert (
        "Fetching open_clip_pytorch_model.bin of org/model: 0 MB, licence: MIT." in found["stderr"]
    )


def test_a_file_that_is_not_what_the_hub_states(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    hub[1].states_wrongly = True
    assert "damaged" in in_a_process(hub[0], SOURCE)["error"]
    assert find(SOURCE) is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Source("org/gated", ("x",)), "terms"),
        (Source("org/nobody", ("x",)), "no public repository org/nobody"),
        (Source("org/model", ("x", "y")), "has no file x or y"),
    ],
)
def test_what_the_hub_refuses(source: Source, says: str, hub: tuple[str, type[Hub]]) -> None:
    assert says in in_a_process(hub[0], source)["error"]


def test_no_network() -> None:
    error = in_a_process("http://127.0.0.1:9", SOURCE)["error"]
    assert "could not be fetched" in error
    assert "put open_clip_model.safetensors into" in error
