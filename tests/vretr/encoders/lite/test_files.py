"""Files that are not the pinned ones are refused."""

import shutil
from pathlib import Path

import pytest

from vretr.encoders.lite.files import PINNED, TOKENIZER, pinned
from vretr.errors import VretrError


@pytest.mark.parametrize("name", PINNED)
def test_the_packages_carry_the_pinned_files(name: str) -> None:
    assert pinned(name).name == name


def test_a_folder_of_ones_own_is_accepted(tmp_path: Path) -> None:
    shutil.copy(pinned(TOKENIZER), tmp_path)
    assert pinned(TOKENIZER, tmp_path) == tmp_path / TOKENIZER


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(pinned(TOKENIZER).read_bytes())
    content[1000] ^= 1
    (tmp_path / TOKENIZER).write_bytes(content)
    with pytest.raises(VretrError, match="is not the file `lite` was built for"):
        pinned(TOKENIZER, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VretrError, match=r"tokenizer\.json"):
        pinned(TOKENIZER, tmp_path)
