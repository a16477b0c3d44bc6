import subprocess
import sys
import typing

import vretr


def test_every_public_name_is_there() -> None:
    assert {*vretr._HOMES, "__version__"} == set(vretr.__all__) == set(dir(vretr))
    for name in vretr.__all__:
        assert getattr(vretr, name)


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = "import sys, vretr; sys.exit(bool({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_name_is_an_attribute_error() -> None:
    with_name: typing.Any = vretr
    assert not hasattr(with_name, "nothing_of_the_kind")
