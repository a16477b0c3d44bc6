"""Queries in words to an index of an open_clip model, in real processes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Vretr
from tests.vretr.encoders.tiny import tiny_clip

# What was imported is said at the very end.
LIGHT = """
import atexit, sys
def tell():
    heavy = {"torch", "open_clip", "timm", "transformers", "ftfy", "regex"} & set(sys.modules)
    print("heavy:", *sorted(heavy), file=sys.stderr)
atexit.register(tell)
from cli.main import main
main()
"""


def test_words_are_answered_without_torch_and_alike(
    vretr: Vretr, photos: Path, tmp_path: Path
) -> None:
    encoder = f"local-dir:{tiny_clip(tmp_path / 'model')}"
    caches = {"VRETR_HOME": str(tmp_path / "home")}
    indexed = vretr("index", str(photos), "--workers", "0", "--encoder", encoder, env=caches)
    assert indexed.code == 0, indexed.err
    asked = ("query", "--text", "a red circle", "--json", "--in", str(photos), "-k", "12")
    light = vretr(*asked, env=caches, python=("-c", LIGHT))
    assert (light.code, light.err) == (0, "heavy:\n")
    shutil.rmtree(tmp_path / "home" / "words")
    full = vretr("--verbose", *asked, env=caches, python=("-c", LIGHT))
    assert "torch reads them" in full.err
    assert "heavy: ftfy open_clip regex" in full.err.splitlines()[-1]
    found = [json.loads(line) for line in light.out.splitlines()]
    expected = [json.loads(line) for line in full.out.splitlines()]
    assert len(found) == len(expected) == 12
    scores = {hit["path"]: pytest.approx(hit["score"], abs=2e-3) for hit in expected}  # bf16
    assert {hit["path"]: hit["score"] for hit in found} == scores
