"""Poolings by name."""

import subprocess
import sys

import pytest
import torch

from vretr.errors import UsageError
from vretr.poolings import PoolingSpec, known_poolings, make_pooling, parse_pooling


def test_a_name_with_options() -> None:
    spec = parse_pooling("ggem:groups=8,p=3")
    assert spec == PoolingSpec("ggem", {"groups": "8", "p": "3"})
    assert str(spec) == "ggem:groups=8,p=3"
    assert parse_pooling(" avg ") == PoolingSpec("avg")


def test_several() -> None:
    spec = parse_pooling("cls,ggem:groups=2,p=4,avg")
    assert spec.name == "cls,ggem,avg"
    assert [part.options for part in spec.parts] == [{}, {"groups": "2", "p": "4"}, {}]
    assert str(spec) == "cls,ggem:groups=2,p=4,avg"
    assert parse_pooling(str(spec)) == spec


def test_those_that_are_here() -> None:
    assert {"avg", "max", "gem", "ggem", "cls", "attention"} <= set(known_poolings())


def test_groups_are_heads_unless_told() -> None:
    assert make_pooling("ggem", 12, heads=3).groups == 3
    assert make_pooling("ggem", 12).groups == 1
    assert make_pooling("ggem:groups=6", 12, heads=3).groups == 6
    assert make_pooling("gem", 12, heads=3).groups == 1


def test_options_arrive_as_what_they_are() -> None:
    pool = make_pooling("ggem:groups=2,p=4.5,negatives=signed,eps=1e-4,learnable=false", 12)
    assert (pool.groups, pool.negatives, pool.eps) == (2, "signed", 1e-4)
    assert pool.p.tolist() == [4.5, 4.5]
    assert not list(pool.parameters())


def test_several_have_unit_length_each() -> None:
    pool = make_pooling("cls,gem,max", 8)
    assert pool.out_dim == 24
    patches, prefix = torch.rand(3, 5, 8) * 9, torch.rand(3, 2, 8)
    vectors = pool(patches, prefix).view(3, 3, 8)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3, 3))
    torch.testing.assert_close(vectors[:, 0], prefix[:, 0] / prefix[:, 0].norm(dim=-1)[:, None])
    most = patches.amax(1)
    torch.testing.assert_close(vectors[:, 2], most / most.norm(dim=-1)[:, None])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ggm", "did you mean ggem"),
        ("", "There is no pooling ''"),
        ("cls,mean", r"no pooling 'mean' \(in 'cls,mean'\)"),
        ("p=3", "begins with an option; write NAME:p=3"),
        ("gem:p", "NAME:OPTION=VALUE"),
        ("gem:", "NAME:OPTION=VALUE"),
        ("gem:p=", "NAME:OPTION=VALUE"),
        ("gem:p=3,p=4", "the option p twice"),
    ],
)
def test_what_is_no_pooling_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_pooling(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ggem:group=3", "no option 'group'; did you mean groups"),
        ("avg:p=3", "no option 'p'; it has none"),
        ("gem:heads=3", "no option 'heads'"),
        ("gem:p=three", "p of the pooling gem is 'three', but must be a number"),
        ("ggem:groups=2.5", "must be a whole number"),
        ("gem:learnable=yes", "must be true or false"),
        ("gem:negatives=drop", "must be clamp or shift or signed"),
        ("ggem:groups=5", "groups is 5, but must divide the 12 channels"),
        ("ggem:groups=0", "groups is 0"),
        ("gem:p=0", "p is 0.0, but must lie between 0.5 and 20"),
        ("gem:p=nan", "p is nan"),
        ("gem:p=21", "p is 21.0"),
        ("gem:eps=0", "eps is 0.0"),
        ("attention:own_heads=5", "own_heads is 5"),
    ],
)
def test_impossible_options_are_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_pooling(text, 12)


def test_parsing_imports_no_torch() -> None:
    program = (
        "import sys; from vretr.poolings import parse_pooling; parse_pooling('cls,ggem:p=3');"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
