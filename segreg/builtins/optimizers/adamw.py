"""The optimizer AdamW."""

import torch

from segreg.builtins.optimizers.common import Params, check_betas, check_rates, listed, on_devices


class AdamW(torch.optim.AdamW):
    """Adam whose weight decay is not part of the gradient, and so not scaled by it.

    It runs fused, as one operation for all parameters, on a CPU and on CUDA.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights, times the learning rate, that is taken off at each step. 0 or more.
        betas: How much of the averages of the gradient, and of its square, is kept at each step. 0 or more, below 1.
        eps: Added to the root in the denominator. Above 0.

    Raises:
        ValueError: an option is outside its range.

    Reference: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017, arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        *,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        check_rates(lr, weight_decay)
        check_betas(betas, eps)
        groups = listed(params)
        fused = on_devices(groups, "cpu", "cuda")
        super().__init__(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)
