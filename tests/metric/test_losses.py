"""The losses by name: golden values, the plug-in route into pytorch-metric-learning, bad input."""

import copy
import math
import subprocess
import sys

import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor
from torch.nn import functional as F

from metric.loss_names import LOSSES
from metric.losses import make_loss
from metric.proxies import ProxyLoss, check_labels
from tests.metric.golden import ROWS, W, X, Y, close, golden_loss, parameter, with_weights
from vretr.errors import UsageError, VretrError

COSINES = F.normalize(X) @ F.normalize(W).t()


@pytest.mark.parametrize(("name", "options", "plain", "_"), ROWS)
def test_golden_values(name: str, options: dict[str, float], plain: float, _: float) -> None:
    close(golden_loss(name, **options)(X, Y).detach(), plain)


def test_golden_values_of_each_sample() -> None:
    loss = golden_loss("norm-softmax", scale=1)
    found = torch.stack([loss(X[i : i + 1], Y[i : i + 1]) for i in range(4)])
    close(found.detach(), [0.53955211, 0.68687868, 0.64080704, 0.57736113], 8)


def test_golden_gradients() -> None:
    loss, x = golden_loss("norm-softmax", scale=1), X.clone().requires_grad_()
    loss(x, Y).backward()
    assert x.grad is not None and loss.loss.W.grad is not None
    of_w = [[0.017626, -0.017626], [0.024753, 0.049505], [-0.010194, -0.030583]]
    of_x = [[0.001845, -0.001384], [0, 0.135598], [0.074271, 0.037135], [-0.064422, 0]]
    close(loss.loss.W.grad.t(), of_w, 6)
    close(x.grad, of_x, 6)


def test_plain_softmax_has_the_textbooks_value() -> None:
    loss = golden_loss("softmax")
    close(loss(X, Y).detach(), F.cross_entropy(X @ W.t(), Y))
    assert parameter(loss).shape == (3, 2)  # no bias


def test_proxy_nca_is_norm_softmax_of_twice_the_scale() -> None:
    nca, softmax = (
        golden_loss("proxy-nca", scale=12)(X, Y),
        golden_loss("norm-softmax", scale=24)(X, Y),
    )
    close(nca.detach(), softmax.detach(), 14)


def test_proxy_nca_is_that_of_pytorch_metric_learning() -> None:
    theirs = ProxyLoss(losses.ProxyNCALoss(3, 2, softmax_scale=12).double())
    close(with_weights(theirs, W)(X, Y).detach(), 0.0027948788)


@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("norm-softmax", losses.NormalizedSoftmaxLoss, {"temperature": 1 / 23}),
        ("cosface", losses.CosFaceLoss, {"scale": 23, "margin": 0.1}),
        ("arcface", losses.ArcFaceLoss, {"scale": 23, "margin": math.degrees(0.1)}),
        ("sphereface", losses.SphereFaceLoss, {}),
        ("softtriple", losses.SoftTripleLoss, {}),
        ("proxy-nca", losses.ProxyNCALoss, {"softmax_scale": 12}),
        ("proxy-anchor", losses.ProxyAnchorLoss, {}),
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # SciPy on a tensor
def test_losses_are_those_of_pytorch_metric_learning(
    name: str, theirs: type, options: dict[str, float]
) -> None:
    """Values and gradients, of random embeddings."""
    torch.manual_seed(0)
    ours = make_loss(name, 5, 8, **({"tau": 0} if name == "softtriple" else {})).double()
    other = theirs(num_classes=5, embedding_size=8, **options).double()
    with_weights(ProxyLoss(other), ours.weight.detach())
    x = torch.randn(12, 8, dtype=torch.float64, requires_grad=True)
    found, wanted = (loss(x, torch.arange(12) % 5) for loss in (ours, other))
    torch.testing.assert_close(found, wanted)
    for one, two in zip(
        torch.autograd.grad(found, [x, parameter(ours)]),
        torch.autograd.grad(wanted, [x, parameter(other)]),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


def test_proxy_nca_drops_no_row_whose_probability_is_too_small() -> None:
    loss = with_weights(make_loss("proxy-nca", 3, 2, scale=400), W.float())
    wrong = torch.tensor([2, 2, 0, 0])
    expected = F.cross_entropy(800 * COSINES, wrong)
    torch.testing.assert_close(loss(X.float(), wrong), expected.float())


def test_arcface_has_a_gradient_where_the_embedding_is_the_weight() -> None:
    loss, x = with_weights(make_loss("arcface", 3, 2), W.float()), W.float().requires_grad_()
    loss(x, torch.arange(3)).backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert parameter(loss).grad.isfinite().all()


def circle_by_pairs(margin: float, scale: float) -> Tensor:
    theirs = losses.CircleLoss(m=margin, gamma=scale)
    return theirs(X, Y, ref_emb=W, ref_labels=torch.arange(3))


def test_circle_is_that_of_pytorch_metric_learning_over_the_class_weights() -> None:
    loss = golden_loss("circle", scale=4, margin=0.25)
    close(loss(X, Y).detach(), circle_by_pairs(0.25, 4))


def test_circle_counts_rows_whose_loss_is_zero() -> None:
    weights = torch.tensor([[1.0, 0], [-1, 0.1], [-1, -0.1]])
    loss = with_weights(make_loss("circle", 3, 2, scale=1000), weights)
    easy, hard = torch.tensor([[1.0, 0]]), torch.tensor([[-1.0, 0]])
    alone = [loss(x, torch.tensor([0])) for x in (easy, hard)]
    assert alone[0] == 0 < alone[1]
    both = loss(torch.cat([easy, hard]), torch.tensor([0, 0]))
    torch.testing.assert_close(both, sum(alone) / 2)


def test_softtriple_draws_the_centres_of_a_class_together() -> None:
    """The authors' term, pair by pair."""
    plain, drawn = (golden_loss("softtriple", centres=2, tau=tau)(X, Y) for tau in (0, 0.2))
    term = 0.0
    for class_ in golden_loss("softtriple", centres=2).weight.detach().reshape(3, 2, 2):
        one, other = F.normalize(class_)
        term += math.sqrt(2 + 1e-5 - 2 * float(one @ other))
    close((drawn - plain).detach(), 0.2 * term / (3 * 2 * 1))


@pytest.mark.parametrize("name", LOSSES)
def test_other_weights_stand_in_for_the_own(name: str) -> None:
    """As many classes as wanted for one call; the loss is the same afterwards."""
    options = {"centres": 2} if name == "softtriple" else {}
    small, large = (make_loss(name, classes, 4, **options) for classes in (3, 7))
    x, y = torch.randn(9, 4), torch.arange(9) % 7
    if name == "softtriple":
        small.loss.tau = large.loss.tau = 0  # a term of the real classes alone
    before = small(x, y % 3)
    torch.testing.assert_close(small(x, y, large.weight), large(x, y))
    with pytest.raises(ValueError, match="labels go from 0 to 6"):
        small(x, y)
    assert torch.equal(small(x, y % 3), before)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_reach_the_parameter_and_the_embeddings(name: str) -> None:
    loss, x = make_loss(name, 3, 4).double(), torch.randn(5, 4, dtype=torch.float64)
    x.requires_grad_()
    y = torch.tensor([0, 1, 2, 1, 0])
    if name != "circle":  # whose factors are held fixed
        assert torch.autograd.gradcheck(lambda x: loss(x, y), x)
    loss(x, y).backward()
    assert parameter(loss).grad.abs().sum() > 0


def test_the_count_of_classes_is_put_back_after_an_error() -> None:
    loss = losses.CosFaceLoss(3, 2)

    def fail(*_: object) -> Tensor:
        raise RuntimeError

    wrapped = ProxyLoss(loss)
    loss.scale_logits = fail
    with pytest.raises(RuntimeError):
        wrapped(X.float(), Y, torch.randn(5, 2))
    assert loss.num_classes == 3


@pytest.mark.parametrize(
    "kind",
    [
        losses.NormalizedSoftmaxLoss,
        losses.CosFaceLoss,
        losses.ArcFaceLoss,
        losses.SphereFaceLoss,
        losses.LargeMarginSoftmaxLoss,
        losses.SubCenterArcFaceLoss,
        losses.SoftTripleLoss,
        losses.ProxyNCALoss,
        losses.ProxyAnchorLoss,
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # SciPy on a tensor
def test_a_users_own_loss_keeps_its_value(kind: type) -> None:
    loss = kind(num_classes=3, embedding_size=2)
    x, y = X.float(), Y
    torch.testing.assert_close(ProxyLoss(loss)(x, y), loss(x, y))
    assert {*map(id, ProxyLoss(loss).parameters())} == {*map(id, loss.parameters())}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_changes_neither_parameter_nor_format(name: str, kind: torch.dtype) -> None:
    loss = make_loss(name, 3, 8)
    x, y = torch.randn(4, 8).to(kind), Y
    expected = loss(x.float(), y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(x, y)
    assert torch.equal(found, expected) and found.dtype == torch.float32
    assert parameter(loss).dtype == torch.float32


def test_the_weights_start_as_the_papers() -> None:
    torch.manual_seed(0)
    uniform = make_loss("norm-softmax", 50, 64).weight
    normal = make_loss("proxy-nca", 50, 64).weight
    assert 0.9 / 8 < uniform.abs().max() <= 1 / 8  # ±1/sqrt(64)
    assert math.isclose(float(normal.detach().std()), math.sqrt(2 / 50), rel_tol=0.05)


@pytest.mark.parametrize(
    "labels", [[0, 1, 3, 1], [0, -1, 2, 1], [101, 102, 103, 102], [2**24 + 1, 0, 1, 2]]
)
@pytest.mark.parametrize("name", ["norm-softmax", "cosface", "proxy-anchor", "softmax"])
def test_labels_of_no_class(name: str, labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"the classes are 0\.\.2: number them without gaps"):
        make_loss(name, 3, 2)(X.float(), torch.tensor(labels))


@pytest.mark.parametrize("labels", [Y.float(), Y.bool(), Y[:, None]])
def test_labels_that_are_no_integers(labels: Tensor) -> None:
    with pytest.raises(ValueError, match="one integer a sample"):
        make_loss("norm-softmax", 3, 2)(X.float(), labels)


def test_labels_of_a_data_set() -> None:
    check_labels(Y, 3)
    with pytest.raises(ValueError, match=r"only 2 of the classes 0\.\.2 have a sample"):
        check_labels(torch.tensor([0, 2, 2]), 3)
    with pytest.raises(ValueError, match="labels go from 1 to 3"):
        check_labels(Y + 1, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_embeddings_that_are_not_finite(value: float) -> None:
    x = X.float().clone()
    x[1, 0] = value
    with pytest.raises(VretrError, match="1 of 4 embeddings are not finite"):
        make_loss("norm-softmax", 3, 2)(x, Y)


def test_shapes_that_do_not_fit() -> None:
    loss = make_loss("norm-softmax", 3, 2)
    with pytest.raises(ValueError, match=r"must be \[batch, 2\]"):
        loss(torch.randn(4, 3), Y)
    with pytest.raises(ValueError, match="4 embeddings but 3 labels"):
        loss(X.float(), Y[:3])
    with pytest.raises(ValueError, match="no sample"):
        loss(X[:0].float(), Y[:0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("normsoftmax", {}, "did you mean norm-softmax"),
        ("contrastive", {}, "known are softmax"),
        ("norm-softmax", {"margin": 1}, "has only scale, not margin"),
        ("softmax", {"scale": 1}, "has no options"),
        ("cosface", {"scale": 0}, "must be above 0"),
        ("cosface", {"margin": -1}, "must be 0 or more"),
        ("arcface", {"scale": math.nan}, "must be above 0"),
        ("sphereface", {"margin": 1.5}, "must be a whole number"),
        ("softtriple", {"centres": 2.5}, "must be a whole number"),
    ],
)
def test_impossible_losses(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_loss(name, 3, 2, **options)


def test_a_loss_without_class_weights() -> None:
    with pytest.raises(UsageError, match="TripletMarginLoss is no loss with class weights"):
        ProxyLoss(losses.TripletMarginLoss())


@pytest.mark.parametrize("name", LOSSES)
def test_one_class(name: str) -> None:
    loss, x = make_loss(name, 1, 2), X.float().requires_grad_()
    loss(x, torch.zeros(4, dtype=torch.int64)).backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert parameter(loss).grad.isfinite().all()


def test_softmax_over_one_class_is_zero() -> None:
    assert make_loss("norm-softmax", 1, 2)(X.float(), Y * 0) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_of_zeros_is_no_nan(name: str) -> None:
    loss, x = make_loss(name, 3, 2), (X.float() * 0).requires_grad_()
    loss(x, Y).backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_a_copy_is_a_loss_of_its_own() -> None:
    loss = make_loss("cosface", 3, 2)
    other = copy.deepcopy(loss)
    with torch.no_grad():
        parameter(other).zero_()
    assert parameter(loss).abs().sum() > 0


def test_names_are_known_without_torch() -> None:
    code = "import sys, metric.loss_names; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
