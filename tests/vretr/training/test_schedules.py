import pytest

from vretr.training.schedules import lr_factor


def factors(**settings) -> list[float]:
    return [lr_factor(step, **settings) for step in range(1, settings["steps"] + 1)]


def test_cosine_after_warmup() -> None:
    # By hand: 1/2 and 2/2 of the way up; then cos at 0, 45, 90, 135 degrees.
    expected = [0.5, 1.0, 1.0, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]
    assert factors(steps=6, warmup=2, schedule="cosine") == pytest.approx(expected)


def test_constant() -> None:
    assert factors(steps=5, warmup=4, schedule="constant") == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 1, 9, 10, 25])
def test_rises_then_never_rises_again(schedule: str, warmup: int) -> None:
    values = factors(steps=10, warmup=warmup, schedule=schedule)
    assert all(0 < value <= 1 for value in values)
    top = min(warmup, 10)
    assert values[:top] == sorted(values[:top])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert warmup > 10 or max(values) == 1
