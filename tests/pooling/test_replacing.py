"""Another pooling in ready models, one of each family; weights are random."""

import copy
from collections.abc import Callable
from typing import Any

import open_clip
import pytest
import timm
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from pooling import GeM, GGeM, replace
from vretr.errors import UsageError

SMALL = {"pretrained": False, "num_classes": 5, "img_size": 64, "depth": 2}


def timm_model(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model(name, **(SMALL | settings)).eval()


def cnn(name: str) -> Any:
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, num_classes=5).eval()


def swin() -> Any:
    torch.manual_seed(0)
    name, small = "swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "window_size": 2}
    return timm.create_model(name, num_classes=5, img_size=64, embed_dim=24, **small).eval()


def naflex(**settings: Any) -> Any:
    torch.manual_seed(0)
    small = {"embed_dim": 32, "num_heads": 2, "depth": 2, "num_classes": 5} | settings
    return timm.create_model("naflexvit_base_patch16_gap", **small).eval()


# name: (model, patches it has of the picture it is shown, tokens before them)
TRANSFORMERS: dict[str, tuple[Callable[[], Any], int, int]] = {
    "vit": (lambda: timm_model("vit_tiny_patch16_224"), 16, 1),
    "vit, averaging": (lambda: timm_model("vit_tiny_patch16_224", global_pool="avg"), 16, 1),
    "dinov2 with registers": (
        lambda: timm_model("vit_small_patch14_reg4_dinov2", img_size=56),
        16,
        5,
    ),
    "siglip": (
        lambda: timm_model("vit_base_patch16_siglip_224", embed_dim=48, num_heads=4),
        16,
        0,
    ),
    "hybrid": (lambda: timm_model("vit_tiny_r_s16_p8_224"), 4, 1),
    "eva": (lambda: timm_model("eva02_tiny_patch14_224", img_size=56), 16, 1),
    "naflex": (naflex, 16, 0),
    "beit": (lambda: timm_model("beit_base_patch16_224", embed_dim=48, num_heads=4), 16, 1),
    "deit, distilled": (lambda: timm_model("deit_tiny_distilled_patch16_224"), 16, 2),
    "relpos": (lambda: timm_model("vit_relpos_small_patch16_224"), 16, 0),
    "cait": (lambda: timm_model("cait_xxs24_224"), 16, 1),
    "xcit": (lambda: timm_model("xcit_nano_12_p16_224"), 16, 1),
}
CNNS: dict[str, Callable[[], Any]] = {
    "resnet": lambda: cnn("resnet10t"),
    "convnext": lambda: cnn("convnext_atto"),
    "mobilenet": lambda: cnn("mobilenetv3_small_050"),
    "swin": swin,
    "sam": lambda: timm_model("samvit_base_patch16_224", embed_dim=48, num_heads=4),
}
families = pytest.mark.parametrize("family", TRANSFORMERS)
networks = pytest.mark.parametrize("network", CNNS)


def pictures(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def pictures_of(family: str) -> torch.Tensor:
    return pictures(56 if family in ("dinov2 with registers", "eva") else 64)


def handed_over(pool: nn.Module, model: nn.Module, x: torch.Tensor) -> tuple[Any, ...]:
    """What the pooling is given when the model looks at x."""
    seen: list[tuple[Any, ...]] = []
    hook = pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    with torch.no_grad():
        model(x)
    hook.remove()
    (inputs,) = seen
    return inputs


@families
def test_patches_alone_are_pooled_and_it_can_be_undone(family: str) -> None:
    make, number, prefix = TRANSFORMERS[family]
    model, x = make(), pictures_of(family)
    names, kind = list(model.state_dict()), type(model)
    with torch.no_grad():
        before = model(x)
        tokens = model.forward_features(x)
    done = replace(model, "ggem")
    assert isinstance(done.pool, GGeM)
    assert done.pool.groups == model.blocks[0].attn.num_heads
    patches = handed_over(done.pool, model, x)[0]
    assert patches.shape == (2, number, model.num_features)
    if family != "naflex":
        torch.testing.assert_close(patches, tokens[:, prefix:])
    with torch.no_grad():
        assert not torch.allclose(model(x), before)
    assert any(name.endswith(".p") for name in model.state_dict())
    done.undo()
    done.undo()
    assert (list(model.state_dict()), type(model)) == (names, kind)
    with torch.no_grad():
        torch.testing.assert_close(model(x), before, rtol=0, atol=0)


@families
def test_the_models_own_pooling_gives_what_it_gave(family: str) -> None:
    model, x = TRANSFORMERS[family][0](), pictures_of(family)
    own = {"token": "cls", "avg": "avg"}.get(model.global_pool)
    if own is None or family == "deit, distilled":
        pytest.skip("it pools in a way of its own")
    with torch.no_grad():
        before = model(x)
        replace(model, own)
        torch.testing.assert_close(model(x), before)


@families
def test_the_norm_stands_where_it_is_asked_for(family: str) -> None:
    model, x = TRANSFORMERS[family][0](), pictures_of(family)
    normed = not isinstance(getattr(model, "fc_norm", None), nn.Identity | None)
    for norm in ("before", "after"):
        if norm == "after" and family in ("cait", "xcit"):
            with pytest.raises(UsageError, match="cannot have its norm after"):
                replace(model, "gem", norm=norm)
            continue
        done = replace(model, "avg", norm=norm)
        patches = handed_over(done.pool, model, x)[0]
        mean = patches.mean(-1).abs().max()
        assert (mean < 1e-4) == (norm == "before"), mean  # a fresh LayerNorm leaves a mean of 0
        done.undo()
        assert normed != isinstance(getattr(model, "fc_norm", None), nn.Identity | None)


@networks
def test_maps_are_pooled_and_it_can_be_undone(network: str) -> None:
    model, x = CNNS[network](), pictures()
    with torch.no_grad():
        before = model(x)
    done = replace(model, "avg")
    with torch.no_grad():
        torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)
    done.undo()
    done = replace(model, "ggem")
    assert isinstance(done.pool, GGeM)
    assert done.pool.groups == 1
    with torch.no_grad():
        assert not torch.allclose(model(x), before)
        if network in ("resnet", "mobilenet"):  # they would go back to the mean
            with pytest.raises(AssertionError, match=r"undo\(\) that"):
                model.reset_classifier(7)
        else:
            model.reset_classifier(7)
            assert model(x).shape == (2, 7)
    with pytest.raises(UsageError, match="where its norm stands"):
        replace(CNNS[network](), "gem", norm="after")


def test_padding_of_naflex_does_not_count() -> None:
    model = naflex()
    done = replace(model, "ggem")
    patches = torch.randn(1, 6, 16 * 16 * 3, generator=torch.Generator().manual_seed(2))
    places = torch.tensor([[[y, x] for y in range(2) for x in range(3)]])
    alone = {"patches": patches, "patch_coord": places, "patch_valid": torch.ones(1, 6).bool()}
    padded = {
        "patches": torch.cat([patches, torch.full((1, 4, 768), 9.0)], 1),
        "patch_coord": torch.cat([places, torch.zeros(1, 4, 2, dtype=torch.long)], 1),
        "patch_valid": torch.arange(10)[None] < 6,
    }
    with torch.no_grad():
        torch.testing.assert_close(model(padded), model(alone), rtol=1e-4, atol=1e-5)
    mask = handed_over(done.pool, model, padded)[2]
    assert mask.tolist() == [[True] * 6 + [False] * 4]


# --- open_clip -----------------------------------------------------------------------------------

VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}


def tower(**settings: Any) -> Any:
    torch.manual_seed(0)
    return _build_vision_tower(24, VISION | settings, False).eval()


@pytest.mark.parametrize("after", [False, True], ids=["norm before", "norm after"])
def test_towers_of_open_clip(after: bool) -> None:
    own = {"final_ln_after_pool": True, "pool_type": "avg"} if after else {}
    model, x = tower(**own, output_tokens=True), pictures(32)
    with torch.no_grad():
        before, tokens = model(x)
    done = replace(model, "avg" if after else "cls")
    with torch.no_grad():
        torch.testing.assert_close(model(x)[0], before)
        torch.testing.assert_close(model(x)[1], tokens)
    done.undo()
    done = replace(model, "ggem")
    assert isinstance(done.pool, GGeM)
    assert done.pool.groups == 2
    assert handed_over(done.pool, model, x)[0].shape == (2, 16, 32)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        assert not torch.allclose(model(x)[0], before)
        torch.testing.assert_close(twin(x)[0], model(x)[0])
        twin.pooling.pool.p.fill_(7)
        assert not torch.allclose(twin(x)[0], model(x)[0])
        torch.testing.assert_close(
            model.forward_intermediates(x)["image_features"], model(x)[0], rtol=1e-4, atol=1e-5
        )
    done.undo()
    with torch.no_grad():
        torch.testing.assert_close(model(x)[0], before, rtol=0, atol=0)


def test_a_whole_clip_is_taken_by_its_image_tower() -> None:
    text = {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(24, VISION, text)
    model.lock_image_tower()
    done = replace(model, "gem", norm="after")
    assert model.visual.final_ln_after_pool
    assert [one for one in model.visual.parameters() if one.requires_grad] == [done.pool.p]
    done.undo()
    assert not model.visual.final_ln_after_pool


def test_a_tower_of_timm_in_open_clip() -> None:
    settings = {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear"}
    model = _build_vision_tower(24, {"image_size": 160, **settings}, False).eval()
    x = pictures(160)
    with torch.no_grad():
        before = model(x)
    done = replace(model, "ggem")
    assert handed_over(done.pool, model, x)[0].shape[1] == 100
    done.undo()
    with torch.no_grad():
        torch.testing.assert_close(model(x), before, rtol=0, atol=0)


def test_clips_resnets_keep_their_projection() -> None:
    model = tower(layers=[1, 1, 1, 1], width=8, patch_size=None, image_size=64)
    x = pictures(64)
    with torch.no_grad():
        model.attnpool.k_proj.weight.zero_()  # then its attention is even: a mean
        model.attnpool.k_proj.bias.zero_()
        model.attnpool.positional_embedding.zero_()
        before = model(x)
        done = replace(model, "avg")
        torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)
        done.undo()
        torch.testing.assert_close(model(x), before, rtol=0, atol=0)


# --- what is refused -----------------------------------------------------------------------------


def test_what_pools_by_attention_in_open_clip_is_refused() -> None:
    coca = tower(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=2)
    with pytest.raises(UsageError, match="by attention"):
        replace(coca, "gem")
    rotary = {"timm_model_name": "resnet10t", "timm_pool": "rot_attn", "timm_proj": ""}
    with pytest.raises(UsageError, match="by attention"):
        replace(_build_vision_tower(24, {"image_size": 224, **rotary}, False), "gem")


def test_what_would_be_ignored_is_refused() -> None:
    class Deaf(timm.models.VisionTransformer):
        def pool(self, x: torch.Tensor, pool_type: str | None = None) -> torch.Tensor:
            return x[:, 0]

    model = Deaf(img_size=32, embed_dim=24, num_heads=2, depth=1, num_classes=2)
    with pytest.raises(UsageError, match="no place that is known"):
        replace(model, "gem", norm="after")
    assert model.attn_pool is None
    assert isinstance(model.fc_norm, nn.Identity)
    assert not isinstance(model.norm, nn.Identity)


@pytest.mark.parametrize("model", [nn.Linear(2, 2), timm.create_model("levit_128s")])
def test_other_models_are_refused(model: nn.Module) -> None:
    with pytest.raises(UsageError, match="no place that is known"):
        replace(model, "gem")


def test_a_second_pooling_is_refused() -> None:
    model = timm_model("vit_tiny_patch16_224")
    replace(model, "gem")
    with pytest.raises(UsageError, match=r"undo\(\)"):
        replace(model, "max")


def test_a_classifier_that_does_not_fit_is_named() -> None:
    model = timm_model("vit_tiny_patch16_224")
    names = list(model.state_dict())
    with pytest.raises(UsageError, match="remove the classifier first"):
        replace(model, "cls,avg")
    assert list(model.state_dict()) == names
    model.reset_classifier(0)
    done = replace(model, "cls,avg")
    with torch.no_grad():
        assert model(pictures()).shape == (2, 384)
    done.undo()
    assert not model.pool_include_prefix


def test_a_class_token_is_asked_of_who_has_one() -> None:
    for model in (cnn("resnet10t"), timm_model("vit_relpos_small_patch16_224")):
        with pytest.raises(UsageError, match="no class token"):
            replace(model, "cls")


def test_groups_must_divide_the_width() -> None:
    model = timm_model("vit_tiny_patch16_224")
    with pytest.raises(UsageError, match="must divide the 192 channels"):
        replace(model, "ggem:groups=7")
    assert model.attn_pool is None


def test_an_attention_that_was_trained_is_not_set_aside_silently(
    caplog: pytest.LogCaptureFixture,
) -> None:
    replace(TRANSFORMERS["siglip"][0](), "gem")
    (record,) = caplog.records
    assert "is set aside" in record.getMessage()


def test_mode_dtype_and_running_means_are_left_as_they_are() -> None:
    model = cnn("resnet10t").bfloat16().train()
    before = copy.deepcopy(model.state_dict())
    done = replace(model, "gem")
    assert model.training
    assert isinstance(done.pool, GeM)
    assert done.pool.p.dtype == torch.float32
    for name, tensor in before.items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=0)
