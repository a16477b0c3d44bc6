"""The loss and the rows that lose their conditions."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from compodiff.losses import Drops, dropped, training_loss
from compodiff.schedule import Schedule
from tests.compodiff.golden import Inputs, golden_prior

GIVEN = Inputs()
NONE = Drops(0, 0, 0)
NULL = torch.full((3, 1280), 0.5)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss(seed: int = 3, drops: Drops = NONE, cosine: float = 0.0) -> dict[str, Tensor]:
    return training_loss(
        golden_prior(),
        Schedule.cosine(),
        target=GIVEN.x,
        image=GIVEN.image,
        text=GIVEN.text,
        mask=GIVEN.mask,
        null_text=NULL,
        drops=drops,
        cosine=cosine,
        generator=seeded(seed),
    )


def test_it_is_the_squared_error_at_a_time_that_was_drawn() -> None:
    random = seeded()
    torch.rand(2, generator=random)  # of the drops
    t = (torch.rand(2, generator=random) * 1000).long()
    noise = torch.randn(2, 16, generator=random)
    kept = Schedule.cosine().alphas_cumprod[t][:, None]
    noisy = kept.sqrt() * GIVEN.x + (1 - kept).sqrt() * noise
    prior = golden_prior()
    found = prior(noisy, GIVEN.image, GIVEN.text, GIVEN.mask, t.float())
    wanted = (found - GIVEN.x).square().mean()
    torch.testing.assert_close(loss()["loss"], wanted)
    alike = F.cosine_similarity(found, GIVEN.x).mean()
    both = loss(cosine=0.1)
    torch.testing.assert_close(both["loss"], wanted + 0.1 * (1 - alike))
    torch.testing.assert_close(both["mse"], wanted.detach())


def test_the_same_generator_draws_the_same() -> None:
    assert torch.equal(loss(1)["loss"], loss(1)["loss"])
    assert not torch.equal(loss(1)["loss"], loss(2)["loss"])


def test_without_a_generator_it_is_the_global_one() -> None:
    def once() -> Tensor:
        torch.manual_seed(5)
        return dropped(GIVEN.image.repeat(50, 1), GIVEN.text.repeat(50, 1, 1), NULL, Drops())[0]

    assert torch.equal(once(), once())


def test_shares_of_rows_lose_their_conditions() -> None:
    count, drops = 20_000, Drops(text=0.05, image=0.1, both=0.2)
    ones, texts = torch.ones(count, 2), torch.ones(count, 1, 1)
    image, text = dropped(ones, texts, torch.zeros(1, 1), drops, seeded())
    kept = torch.stack([text[:, 0, 0], image[:, 0]], dim=1).bool()
    shares = {
        (has_text, has_image): float((kept == torch.tensor([has_text, has_image])).all(1).sum())
        / count
        for has_text in (True, False)
        for has_image in (True, False)
    }
    assert shares[False, True] == pytest.approx(0.05, abs=0.01)
    assert shares[True, False] == pytest.approx(0.1, abs=0.01)
    assert shares[False, False] == pytest.approx(0.2, abs=0.01)
    assert ones.all() and texts.all()  # what was given is not changed


def test_dropped_words_are_those_of_the_empty_string() -> None:
    image, text = dropped(GIVEN.image, GIVEN.text, NULL, Drops(text=1, image=0, both=0))
    assert torch.equal(text, NULL.expand(2, 3, 1280)) and torch.equal(image, GIVEN.image)


@pytest.mark.parametrize("drops", [Drops(0.5, 0.5, 0.1), Drops(-0.1, 0, 0)])
def test_impossible_shares_are_refused(drops: Drops) -> None:
    with pytest.raises(ValueError, match="together at most 1"):
        dropped(GIVEN.image, GIVEN.text, NULL, drops)


def test_an_empty_string_padded_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the empty string has \[2, 1280\]"):
        dropped(GIVEN.image, GIVEN.text, NULL[:2], Drops())
