"""What the checks do with a model: take it to where its logits show something, compare these, and train it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segreg.testing.subject import expect

_TILES = 4
"""Number of tiles per side of an image."""


def difference(got: Tensor, expected: Tensor) -> float:
    """Return the root mean square error of logits, as a fraction of the spread of the expected ones."""
    expected = expected.double()
    spread = (expected - expected.mean()).square().mean().sqrt()
    # Nearly constant logits differ only by rounding.
    scale = torch.maximum(spread, 1e-3 * expected.abs().max())
    return float((got.double() - expected).square().mean().sqrt() / scale.clamp(min=1e-30))


def agree(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Raise if the logits are off by more than a fraction of the spread of the expected ones."""
    expect(got.shape == expected.shape, f"{what}: {list(got.shape)} is not {list(expected.shape)}")
    off = difference(got, expected)
    expect(off <= tolerance, f"{what}: off by {off:.2g} of the logits' spread, where {tolerance:.2g} is allowed")


def expect_logits(logits: Tensor, images: Tensor, classes: int) -> None:
    """Raise `CheckFailed` unless the logits have the form of the contract, and are finite."""
    expected = [len(images), classes, *images.shape[2:]]
    expect(isinstance(logits, Tensor), f"it returns {type(logits).__name__}, not a tensor")
    expect(list(logits.shape) == expected, f"images {list(images.shape)} give {list(logits.shape)}, not {expected}")
    expect(logits.dtype == torch.float32, f"float32 images give {logits.dtype} logits")
    if logits.device.type != "meta":
        expect(logits.isfinite().all(), f"images {list(images.shape)} give logits that are not finite")


def tiles(values: Tensor) -> Tensor:
    """Cut the values of one image, [1, C, H, W], into tiles, [tiles, values]."""
    rows, columns = (min(_TILES, max(side // 32, 1)) for side in values.shape[2:])
    height, width = values.shape[2] // rows, values.shape[3] // columns
    cut = values[0, :, : rows * height, : columns * width].reshape(-1, rows, height, columns, width)
    return cut.permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1)


def trained(model: nn.Module, images: Tensor) -> Tensor:
    """Take a step of training, and return the logits before it."""
    modes = {name or "the model": module.training for name, module in model.named_modules()}
    learning = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    logits: Tensor = model(images)
    model.zero_grad()
    loss = F.binary_cross_entropy_with_logits(logits, images.mean(1, keepdim=True))
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=1e-2)
    for name, module in model.named_modules():
        name = name or "the model"
        expect(module.training == modes[name], f"a step of training changes whether {name} is in training mode")
    for name, parameter in model.named_parameters():
        expect(parameter.requires_grad == learning[name], f"a step of training changes whether {name} is trained")
    return logits.detach()


def without_finite_gradient(model: nn.Module, images: Tensor) -> str:
    """Return what is not finite after a forward and a backward pass in training mode; empty if all is."""
    model.zero_grad()
    logits = model.train()(images)
    if not logits.isfinite().all():
        return "a logit"
    loss = logits.square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"a gradient of {name}"
    return ""


def settled(model: nn.Module, images: Tensor) -> nn.Module:
    """Return the model in evaluation mode, shaken, and with batch norm statistics taken from the images.

    The running statistics of a new model are far off, so that its logits in evaluation mode vanish or explode.
    """
    shaken(model)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


@torch.no_grad()
def shaken(model: nn.Module) -> nn.Module:
    """Return the model with noise added to its weights: one initialized with zeros would show nothing."""
    for parameter in model.parameters():
        spread = parameter.std() if parameter.numel() > 1 else parameter.new_zeros(())
        parameter.add_(torch.randn_like(parameter) * torch.where(spread > 0, 0.3 * spread, 0.03))
    return model
