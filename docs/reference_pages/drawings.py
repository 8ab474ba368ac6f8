"""Plots of what a component does, computed from the component itself."""

import io
import math
from collections.abc import Callable, Mapping

import attrs
import matplotlib as mpl
import torch
from diagram import draw_architecture
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from segreg.plugins import Entry
from segreg.registry import augmentation, build, dataset, metric
from segreg.registry import loss as build_loss
from segreg.registry import optimizer as build_optimizer
from segreg.registry import schedule as build_schedule
from segreg.training.augmenter import Augmenter

# A grey that is legible on light and dark pages, since both use the same file.
_INK = "#808080"
_TEAL, _ORANGE = "#00a08a", "#f08020"
_SIZE = 96
_RADIUS = 20
_SHIFTS = range(2 * _RADIUS + 9)
# Half of the images stay as they are, and some change little.
_PANELS, _DRAWS, _VISIBLE = 6, 60, 0.006
_STEPS = 300


@attrs.frozen
class Drawing:
    """An image file with its caption."""

    content: bytes
    caption: str


def drawings(entry: Entry) -> dict[str, Drawing]:
    """Draw a component, by file name; some kinds and datasets have no drawing."""
    draw = _DRAWN.get(entry.kind)
    return draw(entry.key) if draw else {}


def _architecture(name: str) -> dict[str, Drawing]:
    figure = _figure(9, 4.2)
    draw_architecture(figure.add_subplot(), build(name), _INK, _TEAL, _ORANGE)
    caption = (
        "The path of a 256×256 image through the network, as reported by its layers: channels and number of "
        "successive convolutions, by resolution."
    )
    return {"layers.svg": _svg(figure, caption)}


def _loss(name: str) -> dict[str, Drawing]:
    loss = build_loss(name)
    p = torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
    value, slope = _figure(4, 2.8), _figure(4, 2.8)
    axes, slopes = value.add_subplot(), slope.add_subplot()
    for label, ground_truth, color in (
        ("a pixel of the object", 1, _TEAL),
        ("a pixel of the background", 0, _ORANGE),
    ):
        logits = p.logit().requires_grad_()
        losses = torch.stack([loss(each.view(1, 1, 1, 1), torch.full((1, 1, 1), ground_truth)) for each in logits])
        (gradients,) = torch.autograd.grad(losses.sum(), logits)
        axes.plot(p, losses.detach(), color=color, label=label)
        slopes.plot(p, gradients, color=color, label=label)
    axes.set(xlabel="predicted probability of the object", ylabel="loss")
    slopes.set(xlabel="predicted probability of the object", ylabel="gradient with respect to the logit")
    axes.legend(frameon=False)
    slopes.legend(frameon=False)
    slopes.axhline(0, color=_INK, linewidth=0.6)
    return {
        "loss.svg": _svg(value, "The loss of a single pixel, against its predicted probability."),
        "gradient.svg": _svg(slope, "Its gradient, from which the network learns."),
        "sliding.svg": _svg(_sliding_loss(loss), "The loss as a predicted disc slides off the ground-truth disc."),
    }


def _sliding_loss(loss: nn.Module) -> Figure:
    figure = _figure(4, 2.8)
    axes = figure.add_subplot()
    ground_truth = _disc()[None].long()
    for confidence, color in ((0.95, _TEAL), (0.7, _ORANGE)):
        logit = math.log(confidence / (1 - confidence))
        losses = [loss(_logits(_disc(shift=shift), logit), ground_truth).item() for shift in _SHIFTS]
        axes.plot(_SHIFTS, losses, color=color, label=f"with probability {confidence}")
    _mark_apart(axes)
    axes.set(xlabel=f"shift of a disc of radius {_RADIUS}, in pixels", ylabel="loss")
    axes.legend(frameon=False)
    return figure


def _metric(name: str) -> dict[str, Drawing]:
    counted = metric(name, num_classes=1)

    def value(predicted: Tensor) -> float:
        counted.reset()
        counted.update(_logits(predicted, 4.0), _disc()[None].long())
        return counted.compute()

    sliding, growing = _figure(4, 2.8), _figure(4, 2.8)
    axes = sliding.add_subplot()
    axes.plot(_SHIFTS, [value(_disc(shift=shift)) for shift in _SHIFTS], color=_TEAL)
    axes.set(xlabel=f"shift of a disc of radius {_RADIUS}, in pixels", ylabel=name)
    _mark_apart(axes)
    radii = range(2 * _RADIUS + 1)
    axes = growing.add_subplot()
    axes.plot(radii, [value(_disc(radius=radius)) for radius in radii], color=_TEAL)
    axes.axvline(_RADIUS, color=_INK, linewidth=0.6, linestyle=":")
    axes.set(xlabel=f"radius of the predicted disc; ground truth: {_RADIUS}", ylabel=name)
    return {
        "sliding.svg": _svg(
            sliding, f"{name} as a predicted disc slides off the ground-truth disc, in an image of {_SIZE}×{_SIZE}."
        ),
        "growing.svg": _svg(growing, f"{name} of a concentric predicted disc that is too small or too large."),
    }


def _dataset(name: str) -> dict[str, Drawing]:
    if name != "lesions":
        return {}
    split = dataset(name, train=6).splits["train"]
    figure = _figure(9, 1.7)
    for axes, (image, mask) in zip(figure.subplots(1, len(split)), split, strict=True):
        axes.imshow(image)
        axes.contour(mask, [0.5], colors="white", linewidths=1)
        axes.axis("off")
    return {"samples.png": _png(figure, "The first training images; the white line is the border of the mask.")}


def _augmentation(name: str) -> dict[str, Drawing]:
    image, mask = dataset("lesions", size=_SIZE, train=2).splits["train"][1]
    images = torch.from_numpy(image).movedim(-1, 0)[None] / 255
    target = torch.from_numpy(mask)[None].long()
    augment = Augmenter([augmentation(name)], seed=0)
    shown = [(images, target)]
    for u in augment.uniforms(epoch=1, images=_DRAWS).split(1):
        changed = augment(images, target, u)
        # What cannot be told apart is shown once.
        if all(float((changed[0] - before).abs().mean()) > _VISIBLE for before, _ in shown):
            shown.append(changed)
    figure = _figure(9, 1.7)
    for axes in figure.subplots(1, _PANELS):
        axes.axis("off")
    for axes, (pixels, objects) in zip(figure.axes, shown, strict=False):
        axes.imshow(pixels[0].movedim(0, -1))
        axes.contour(objects[0], [0.5], colors="white", linewidths=1)
    return {
        "images.png": _png(
            figure,
            "An image, and what becomes of it for several random numbers; the white line is the border of the mask.",
        )
    }


def _optimizer(name: str) -> dict[str, Drawing]:
    place = nn.Parameter(torch.tensor([-0.09, 0.06]))
    steep = torch.tensor([1.0, 10.0])
    optimizer = build_optimizer(name, [place])
    path = []
    for _ in range(_STEPS):
        path.append(place.detach().clone())
        optimizer.zero_grad()
        ((steep * place.square()).sum() / 2).backward()
        optimizer.step()
    x, y = torch.stack(path).unbind(1)
    figure = _figure(6, 3)
    axes = figure.add_subplot()
    across, up = torch.meshgrid(torch.linspace(-0.11, 0.06, 86), torch.linspace(-0.055, 0.07, 63), indexing="xy")
    heights = (steep[0] * across**2 + steep[1] * up**2) / 2
    axes.contour(across, up, heights.sqrt(), 9, colors=_INK, linewidths=0.5)
    axes.plot(x, y, color=_TEAL)
    axes.plot(x[::20], y[::20], ".", color=_TEAL)
    axes.plot(0, 0, "+", color=_ORANGE, markersize=10)
    axes.set(xlabel="x", ylabel="y", aspect="equal")
    axes.locator_params(nbins=5)
    caption = (
        f"The path of {_STEPS} steps down (x² + 10 y²) / 2 with the default options, with a dot every 20 steps; "
        "the cross is the minimum."
    )
    return {"path.svg": _svg(figure, caption)}


def _schedule(name: str) -> dict[str, Drawing]:
    steps, schedule = 1000, build_schedule(name)
    figure = _figure(6, 2.4)
    axes = figure.add_subplot()
    axes.plot(range(steps), [schedule(step, steps) for step in range(steps)], color=_TEAL)
    axes.set(xlabel="step", ylabel="factor of the learning rate", ylim=(-0.03, 1.06))
    return {"factor.svg": _svg(figure, f"The factor over a training of {steps:,} steps.")}


_DRAWN: Mapping[str, Callable[[str], dict[str, Drawing]]] = {
    "architecture": _architecture,
    "loss": _loss,
    "metric": _metric,
    "dataset": _dataset,
    "augmentation": _augmentation,
    "optimizer": _optimizer,
    "schedule": _schedule,
}


def _disc(*, shift: float = 0, radius: float = _RADIUS) -> Tensor:
    """Return a mask, bool [H, W]: a disc left of the centre, with room to slide to the right."""
    y, x = torch.meshgrid(torch.arange(_SIZE), torch.arange(_SIZE), indexing="ij")
    return (x - _SIZE / 4 - shift) ** 2 + (y - _SIZE / 2) ** 2 < radius**2


def _logits(mask: Tensor, logit: float) -> Tensor:
    """Return logits, float [1, 1, H, W], that predict the mask with the given confidence."""
    return torch.where(mask, logit, -logit)[None, None]


def _mark_apart(axes: Axes) -> None:
    axes.axvline(2 * _RADIUS, color=_INK, linewidth=0.6, linestyle=":")
    axes.annotate("apart", (2 * _RADIUS, 0.02), xycoords=("data", "axes fraction"), ha="right", color=_INK, size=8)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure, caption: str) -> Drawing:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, transparent=True)
    return Drawing(stream.getvalue(), caption)


def _svg(figure: Figure, caption: str) -> Drawing:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(_INK)
        axes.tick_params(colors=_INK)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        if legend := axes.get_legend():
            for text in legend.get_texts():
                text.set_color(_INK)
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "segreg"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return Drawing(stream.getvalue(), caption)
