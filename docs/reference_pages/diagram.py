"""A diagram of the resolutions and channels through a network, as its layers report them."""

import attrs
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

_SIZE = 256
# The only change of resolution without a layer: segreg's SegNets call a function.
_UNPOOLING = "unpooling by indices"


@attrs.define
class Box:
    """Features of one resolution and number of channels.

    Args:
        channels: Number of channels.
        size: Height and width, in pixels.
        convolutions: Number of successive convolutions that output features of this shape.
        came_by: What changed the resolution before the first of them, if anything did.
        joined: Number of channels concatenated from an earlier box.
    """

    channels: int
    size: int
    convolutions: int
    came_by: str = ""
    joined: int = 0


def boxes(model: nn.Module) -> list[Box]:
    """Run the network on the `meta` device, and return the features that its layers output, in order."""
    found = [Box(3, _SIZE, 0)]

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        features = output[0] if isinstance(output, tuple) else output
        channels, size, last = features.shape[1], features.shape[-1], found[-1]
        if size != inputs[0].shape[-1]:
            found.append(Box(channels, size, 0, came_by=_change(layer)))
        elif not isinstance(layer, nn.Conv2d):
            return
        elif size != last.size:
            found.append(Box(channels, size, 1, came_by=_UNPOOLING))
        elif joined := inputs[0].shape[1] - last.channels:
            found.append(Box(channels, size, 1, joined=joined))
        elif last.came_by and not last.convolutions:
            last.channels, last.convolutions = channels, 1
        elif channels == last.channels:
            last.convolutions += 1
        else:
            found.append(Box(channels, size, 1))

    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(see)
    with torch.no_grad():
        model.to("meta")(torch.zeros(1, 3, _SIZE, _SIZE, device="meta"))
    return found


def draw_architecture(axes: Axes, model: nn.Module, ink: str, teal: str, orange: str) -> None:
    """Draw the boxes of a network: from left to right in the order of computation, from top to bottom by resolution."""
    found = boxes(model)
    rows = {size: row for row, size in enumerate(sorted({box.size for box in found}, reverse=True))}
    colors = dict(
        zip(dict.fromkeys(box.came_by for box in found if box.came_by), (teal, orange, "#7080d0"), strict=False)
    )
    for x, box in enumerate(found):
        y = -rows[box.size]
        times = f"\n×{box.convolutions}" if box.convolutions > 1 else ""
        axes.text(
            x,
            y,
            f"{box.channels}{times}",
            ha="center",
            va="center",
            color=ink,
            size=9,
            bbox={"boxstyle": "round,pad=0.4", "facecolor": "none", "edgecolor": ink},
        )
        if x:
            axes.annotate(
                "",
                (x, y),
                (x - 1, -rows[found[x - 1].size]),
                arrowprops={"arrowstyle": "->", "color": colors.get(box.came_by, ink), "shrinkA": 13, "shrinkB": 13},
            )
        # Skip connections, and the indices of an unpooling, come from the last box of that resolution.
        if box.joined or box.came_by == _UNPOOLING:
            start = max(i for i, each in enumerate(found[: x - 1]) if each.size == box.size and each.convolutions)
            axes.annotate(
                "",
                (x, y),
                (start, y),
                arrowprops={
                    "arrowstyle": "->",
                    "color": ink,
                    "alpha": 0.6,
                    "shrinkA": 16,
                    "shrinkB": 16,
                    "linestyle": "-" if box.joined else ":",
                    "connectionstyle": "arc3,rad=-0.2",
                },
            )
    for name, color in colors.items():
        axes.plot([], [], color=color, label=name)
    if any(box.joined for box in found):
        axes.plot([], [], color=ink, alpha=0.6, label="skip connection: channels are concatenated")
    if _UNPOOLING in colors:
        axes.plot([], [], ":", color=ink, alpha=0.6, label="indices of the maxima")
    axes.set(xlim=(-0.8, len(found) - 0.2), ylim=(-len(rows) + 0.3, 1.4), xticks=[])
    axes.set_yticks([-row for row in rows.values()], [f"{size}×{size}" for size in rows])
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(frameon=False, loc="lower left", fontsize=8)


def _change(layer: nn.Module) -> str:
    """Name what a layer does that changes the resolution."""
    match layer:
        case nn.MaxPool2d():
            return "2×2 max pooling"
        case nn.AvgPool2d():
            return "2×2 average pooling"
        case nn.ConvTranspose2d():
            return "transposed convolution"
        case nn.Upsample():
            return f"{layer.mode} upsampling"
        case _:
            return "stride-2 convolution"
