"""The golden values: three classes in the plane, computed apart in float64."""

import torch
from torch import Tensor, nn

from metric.losses import make_loss
from metric.proxies import ProxyLoss

X = torch.tensor([[3, 4], [1, 0], [-1, 2], [0, -2]], dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 1])
W = torch.tensor([[1, 1], [2, -1], [-3, 1]], dtype=torch.float64)
CENTRES = torch.tensor(
    [[1, 1], [1, 0], [2, -1], [0, -1], [-3, 1], [-1, 1]], dtype=torch.float64
)  # [3 classes x 2, 2]

# name, options, the loss alone, with Proxy Synthesis (λ 0.3, all four rows, partner i-1)
ROWS: list[tuple[str, dict[str, float], float, float]] = [
    ("norm-softmax", {"scale": 1}, 0.6111497388, 1.5207726351),
    ("norm-softmax", {"scale": 23}, 0.0033725994, 3.2874126875),
    ("proxy-nca", {"scale": 1}, 0.3656657074, 1.3533462359),
    ("proxy-nca", {"scale": 12}, 0.0027948788, 3.4086658727),
    ("cosface", {"scale": 23, "margin": 0.1}, 0.0317941441, 5.0758613656),
    ("cosface", {"scale": 64, "margin": 0.35}, 2.6205132580, 29.4495732213),
    ("arcface", {"scale": 23, "margin": 0.1}, 0.0103702304, 4.4490809042),
    ("arcface", {"scale": 64, "margin": 0.49916416607}, 2.7435636372, 30.7285466960),
    ("proxy-anchor", {"scale": 1, "margin": 0.1}, 1.7881052656, 2.8036530381),
    ("proxy-anchor", {"scale": 32, "margin": 0.1}, 11.5846259618, 31.0956916338),
    ("circle", {"scale": 4, "margin": 0.25}, 1.4574926175, 3.5434458630),
    ("softtriple", {"centres": 2, "tau": 0}, 0.5353817751, 2.0265248031),
    ("sphereface", {"scale": 1, "margin": 4}, 1.9418242097, 2.4960723443),
]


def close(found: Tensor, wanted: object, digits: int = 10) -> None:
    """As equal as the digits that are known."""
    wanted = torch.as_tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.6 * 10**-digits)


def golden_loss(name: str, **options: float) -> ProxyLoss:
    """The loss with the class weights `W`, in float64."""
    weights = CENTRES if name == "softtriple" else W
    return with_weights(make_loss(name, 3, 2, **options).double(), weights)


def with_weights(loss: ProxyLoss, weights: Tensor) -> ProxyLoss:
    """Fills in the class weights, and gives the loss back."""
    with torch.no_grad():
        loss.weight.copy_(weights)
    return loss


def parameter(loss: nn.Module) -> nn.Parameter:
    """The only parameter of a loss."""
    (found,) = loss.parameters()
    return found
