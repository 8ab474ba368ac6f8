"""timm's optimizers, each with the options that matter to a comparison. The others keep timm's values."""

from typing import Any

from torch.optim import Optimizer

from segreg.builtins.optimizers.common import Params, check_rates, listed
from segreg.compat import patch_torchvision
from segreg.options import check_option

patch_torchvision()

# It imports torchvision, and does not mark its names as public.
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # noqa: E402


def adabelief(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Adam whose steps are the larger, the less the gradient deviates from its average.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the averages of the gradient, and of its squared deviation, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Zhuang et al., AdaBelief Optimizer, 2020, arXiv:2010.07468.
    """
    return _created("adabelief", params, lr, weight_decay, betas=betas)


def adamp(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Adam without the part of a step that only lengthens the weights before a normalisation.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Heo et al., AdamP, 2020, arXiv:2006.08217.
    """
    return _created("adamp", params, lr, weight_decay, betas=betas)


def adan(
    params: Params,
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
) -> Optimizer:
    """Adam with Nesterov momentum, estimated from the differences of successive gradients.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Strength of the proximal weight decay, which divides the weights. 0 or more.
        betas: How much of the averages of the gradient, of its differences, and of the squared sum of both is kept. 0
            or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Xie et al., Adan: Adaptive Nesterov Momentum Algorithm, 2022, arXiv:2208.06677.
    """
    return _created("adan", params, lr, weight_decay, betas=betas)


def adopt(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.9999)
) -> Optimizer:
    """Adam that scales each gradient by the mean square of those before it.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        betas: How much of the averages of the step, and of the squared gradient, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Taniguchi et al., ADOPT: Modified Adam Can Converge with Any β2, 2024, arXiv:2411.02853.
    """
    return _created("adopt", params, lr, weight_decay, betas=betas)


def lamb(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.01, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Adam whose step is scaled by the norm of each layer's weights, for large batches.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to Adam's step. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: You et al., Large Batch Optimization for Deep Learning, 2019, arXiv:1904.00962.
    """
    return _created("lamb", params, lr, weight_decay, betas=betas)


def laprop(
    params: Params, *, lr: float = 4e-4, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Adam that averages the gradients after they have been scaled.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the averages of the step, and of the squared gradient, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Ziyin et al., LaProp: Separating Momentum and Adaptivity in Adam, 2020, arXiv:2002.04839.
    """
    return _created("laprop", params, lr, weight_decay, betas=betas)


def lars(params: Params, *, lr: float = 1.0, weight_decay: float = 0.0, momentum: float = 0.9) -> Optimizer:
    """SGD whose step is scaled by the ratio of the norms of each layer's weights and gradient, for large batches.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        momentum: How much of the past steps is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: You et al., Large Batch Training of Convolutional Networks, 2017, arXiv:1708.03888.
    """
    return _created("lars", params, lr, weight_decay, momentum=momentum)


def lion(
    params: Params, *, lr: float = 1e-4, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.99)
) -> Optimizer:
    """Steps of one size for all weights, each with the sign of the averaged gradient.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0; a third to a tenth of AdamW's.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the average of the gradient is kept, for the step and for the average. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, arXiv:2302.06675.
    """
    return _created("lion", params, lr, weight_decay, betas=betas)


def madgrad(params: Params, *, lr: float = 1e-2, weight_decay: float = 0.0, momentum: float = 0.9) -> Optimizer:
    """AdaGrad by dual averaging, with momentum.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        momentum: How much of the past steps is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Defazio and Jelassi, Adaptivity without Compromise, 2021, arXiv:2101.11075.
    """
    return _created("madgrad", params, lr, weight_decay, momentum=momentum)


def mars(
    params: Params, *, lr: float = 3e-3, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.99)
) -> Optimizer:
    """AdamW on gradients whose variance is reduced by those of the step before.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Yuan et al., MARS: Unleashing the Power of Variance Reduction, 2024, arXiv:2411.10438.
    """
    return _created("mars", params, lr, weight_decay, betas=betas)


def muon(params: Params, *, lr: float = 0.02, weight_decay: float = 0.0, momentum: float = 0.95) -> Optimizer:
    """Momentum made orthogonal, for the weights of convolutions and linear layers; AdamW for all others.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        momentum: How much of the past gradients is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Jordan et al., Muon: An Optimizer for Hidden Layers, 2024, https://kellerjordan.github.io/posts/muon.
    """
    return _created("muon", params, lr, weight_decay, momentum=momentum)


def nadamw(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.01, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """AdamW with Nesterov momentum.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Dahl et al., Benchmarking Neural Network Training Algorithms, 2023, arXiv:2306.07179.
    """
    return _created("nadamw", params, lr, weight_decay, betas=betas)


def novograd(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.0, betas: tuple[float, float] = (0.95, 0.98)
) -> Optimizer:
    """Momentum of gradients that are divided by the averaged norm of their layer.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the scaled gradient. 0 or more.
        betas: How much of the averages of the gradient, and of its squared norm, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Ginsburg et al., Stochastic Gradient Methods with Layer-wise Adaptive Moments, 2019, arXiv:1905.11286.
    """
    return _created("novograd", params, lr, weight_decay, betas=betas)


def radam(
    params: Params, *, lr: float = 1e-3, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Adam that does not scale its first steps, for which the mean square is not yet known well.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2019, arXiv:1908.03265.
    """
    return _created("radam", params, lr, weight_decay, betas=betas)


def rmsproptf(params: Params, *, lr: float = 1e-2, weight_decay: float = 0.0, momentum: float = 0.9) -> Optimizer:
    """RMSprop as in TensorFlow, which adds the small constant inside the root and begins with a mean square of one.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        momentum: How much of the past steps is kept. 0 or more, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Tieleman and Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012.
    """
    return _created("rmsproptf", params, lr, weight_decay, momentum=momentum)


def sgdw(params: Params, *, lr: float = 1e-3, weight_decay: float = 0.0, momentum: float = 0.9) -> Optimizer:
    """SGD with Nesterov momentum, whose weight decay is not part of the gradient.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        momentum: How much of the past steps is kept. Above 0, below 1.

    Raises:
        ValueError: an option is outside its range.

    Reference: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017, arXiv:1711.05101, algorithm 1.
    """
    check_option("momentum", momentum, momentum > 0, "a number above 0 and below 1")
    return _created("sgdw", params, lr, weight_decay, momentum=momentum)


def _created(name: str, params: Params, lr: float, weight_decay: float, **averaging: Any) -> Optimizer:
    check_rates(lr, weight_decay)
    for option, value in averaging.items():
        several = isinstance(value, tuple)
        allowed = f"{len(value)} numbers" if several else "a number"
        within = all(0 <= each < 1 for each in (value if several else [value]))
        check_option(option, value, within, f"{allowed}, 0 or more and below 1")
    optimizer: Optimizer = create_optimizer_v2(listed(params), name, lr=lr, weight_decay=weight_decay, **averaging)
    return optimizer
