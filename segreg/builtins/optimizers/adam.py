"""The optimizer Adam."""

import torch

from segreg.builtins.optimizers.common import Params, check_betas, check_rates, listed, on_devices


class Adam(torch.optim.Adam):
    """Steps of the mean gradient divided by the root of its mean square, both averaged over past steps.

    It runs fused, as one operation for all parameters, on a CPU and on CUDA.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept at each step. 0 or more, below 1.
        eps: Added to the root in the denominator. Above 0.

    Raises:
        ValueError: an option is outside its range.

    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014, arXiv:1412.6980, algorithm 1.
    """

    def __init__(
        self,
        params: Params,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        check_rates(lr, weight_decay)
        check_betas(betas, eps)
        groups = listed(params)
        fused = on_devices(groups, "cpu", "cuda")
        super().__init__(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)
