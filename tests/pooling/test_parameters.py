"""The powers of a model: read, and trained as a group of their own."""

import timm
import torch

import pooling
from pooling.parameters import parameter_groups, powers


def test_powers_are_read_by_name() -> None:
    model = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=2)
    assert powers(model) == {}
    done = pooling.replace(model, "ggem:p=4")
    assert powers(model) == {"attn_pool.pool.p": [4.0, 4.0, 4.0]}
    assert powers(done.pool) == {"p": [4.0, 4.0, 4.0]}
    with torch.no_grad():
        done.pool.p.fill_(99)
    assert powers(done.pool) == {"p": [20.0, 20.0, 20.0]}


def test_p_is_a_group_without_decay() -> None:
    model = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=2)
    done = pooling.replace(model, "ggem")
    model.cls_token.requires_grad_(False)
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.1, p_lr=1e-2)
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [
        (1e-3, 0.1),
        (1e-3, 0.0),
        (1e-2, 0.0),
    ]
    assert groups[2]["params"] == [done.pool.p]
    assert {one.ndim for one in groups[1]["params"]} == {1}
    members = [id(one) for group in groups for one in group["params"]]
    assert sorted(members) == sorted(id(one) for one in model.parameters() if one.requires_grad)


def test_without_powers_there_are_two_groups() -> None:
    groups = parameter_groups(torch.nn.Linear(2, 2), lr=1e-3, weight_decay=0.1)
    assert len(groups) == 2


def test_p_is_not_decayed() -> None:
    pool = pooling.GGeM(4, groups=2)
    (group,) = parameter_groups(pool, lr=0.1, weight_decay=0.5)
    optimizer = torch.optim.AdamW([group])
    pool(torch.ones(1, 3, 4)).sum().backward()  # equal tokens: no slope
    pool.p.grad.zero_()
    optimizer.step()
    assert pool.p.tolist() == [3.0, 3.0]
