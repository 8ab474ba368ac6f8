"""Creating a timm model: by name, for any size of image, with weights that fit or a one-line error."""

import difflib
import textwrap
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from segreg.compat import patch_torchvision, unreachable_hub_skipped

patch_torchvision()

import timm  # noqa: E402 - it imports torchvision


def create(name: str, *, pretrained: bool | str, in_channels: int, dilate: bool) -> nn.Module:
    """Return a timm classifier, which takes images of any size if its family supports that.

    Args:
        name: timm's name, with or without the tag of its weights.
        pretrained: Whether timm downloads its weights, or the path of a .safetensors file with them.
        in_channels: Channels of the image. timm adapts weights for three channels.
        dilate: Whether it ends at stride 16, by dilation, if its family supports that.

    Raises:
        ValueError: the model does not exist, or its weights are unavailable.
    """
    known = timm.list_models(include_tags="." in name)
    if not timm.is_model(name) or ("." in name and name not in known):
        near = " or ".join(repr(each) for each in difflib.get_close_matches(name.lower(), known))
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"backbone is {name!r}{hint}: expected one of timm.list_models()")
    weights = {"pretrained": pretrained} if isinstance(pretrained, bool) else _from_file(name, pretrained)
    try:
        with unreachable_hub_skipped() if pretrained is True else nullcontext():
            return _create(name, dilate, in_chans=in_channels, **weights)
    # The hub, the network and timm each have their own errors.
    except Exception as error:
        cause = textwrap.shorten(f"{type(error).__name__}: {error}", 240, placeholder="...")
        if pretrained is True:
            raise ValueError(
                f"pretrained is True, but timm cannot fetch the weights of {name!r}: give the path of a .safetensors "
                f"file with them, or False ({cause})"
            ) from error
        if pretrained:
            raise ValueError(f"pretrained is {pretrained!r}, which does not fit {name!r} ({cause})") from error
        raise


def fixed_size(model: Any) -> tuple[int, int] | None:
    """Return the only height and width that a model takes, in pixels; None if it takes others too."""
    config = timm.models.get_model_input_config(model)
    _, height, width = config["input_size"]
    # Attention over blocks of a fixed size has no flag, but timm declares the model's own size as the minimum.
    only = config["fixed_input_size"] or model.pretrained_cfg.get("min_input_size") == (3, height, width)
    return (height, width) if only else None


def _create(name: str, dilate: bool, **options: Any) -> nn.Module:
    attempts: list[dict[str, Any]] = [{"dynamic_img_size": True}]
    if dilate:
        attempts.append({"output_stride": 16})
    for attempt in attempts:
        try:
            return timm.create_model(name, **options, **attempt)
        except (TypeError, AssertionError, NotImplementedError):
            # Raised by a family for an option that it does not have, or a value that it does not accept.
            continue
    return timm.create_model(name, **options)


def _from_file(name: str, path: str) -> dict[str, Any]:
    """Return the options with which timm loads a file strictly, whatever the classes of the classifier in it."""
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"pretrained is {path!r}: expected True, False or the path of a .safetensors file")
    if not Path(path).is_file():
        raise ValueError(f"pretrained is {path!r}: the file does not exist")
    overlay: dict[str, Any] = {"file": path, "label_offset": 0}
    options: dict[str, Any] = {"pretrained": True, "pretrained_cfg_overlay": overlay}
    config = timm.get_pretrained_cfg(name)
    classifier = config.classifier if config else None
    if isinstance(classifier, tuple | list):
        classifier = classifier[0]
    try:
        with safe_open(path, framework="pt") as file:
            weight = f"{classifier}.weight"
            if weight in set(file.keys()):
                overlay["num_classes"] = options["num_classes"] = file.get_slice(weight).get_shape()[0]
    except SafetensorError as error:
        raise ValueError(f"pretrained is {path!r}, which is not a complete safetensors file ({error})") from error
    return options
