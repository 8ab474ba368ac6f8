"""Stochastic gradient descent."""

import torch

from segreg.builtins.optimizers.common import Params, check_rates, listed, on_devices
from segreg.options import check_option


class SGD(torch.optim.SGD):
    """Stochastic gradient descent with momentum.

    It runs fused, as one operation for all parameters, on CUDA.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, above 0.
        weight_decay: Share of the weights that is added to the gradient. 0 or more.
        momentum: How much of the past steps is kept at each step. 0 or more, below 1.
        nesterov: Look ahead by the momentum.

    Raises:
        ValueError: an option is outside its range, or nesterov is used without momentum.

    Reference: Sutskever et al., On the Importance of Initialization and Momentum in Deep Learning, 2013, section 2.
    """

    def __init__(
        self,
        params: Params,
        *,
        lr: float = 1e-2,
        weight_decay: float = 5e-4,
        momentum: float = 0.9,
        nesterov: bool = False,
    ) -> None:
        check_rates(lr, weight_decay)
        check_option("momentum", momentum, 0 <= momentum < 1, "a number, 0 or more and below 1")
        check_option("nesterov", nesterov, momentum > 0 or not nesterov, "False without momentum")
        groups = listed(params)
        fused = on_devices(groups, "cuda")
        super().__init__(
            groups, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused or None
        )
