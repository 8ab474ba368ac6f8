"""How timm is asked for a model: by name, for any size of image, with weights that fit or an error of one line."""

import difflib
import textwrap
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from segreg.compat import mend_torchvision

mend_torchvision()

import timm  # noqa: E402 - it imports torchvision


def create(name: str, *, pretrained: bool | str, in_channels: int, dilate: bool) -> nn.Module:
    """Return a classifier of timm's, which takes images of any size if its family can.

    Args:
        name: As timm knows it, with or without the tag of its weights.
        pretrained: Whether timm fetches its weights, or the path of a .safetensors file that has them.
        in_channels: Channels of the image. Weights for three are adapted as timm does it.
        dilate: Whether it ends at stride 16, by dilation, if its family can.

    Raises:
        ValueError: there is no such model, or its weights cannot be had.
    """
    known = timm.list_models(include_tags="." in name)
    if not timm.is_model(name) or ("." in name and name not in known):
        near = " or ".join(repr(each) for each in difflib.get_close_matches(name.lower(), known))
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"backbone is {name!r}{hint}: expected one of timm.list_models()")
    weights = {"pretrained": pretrained} if isinstance(pretrained, bool) else _from_file(name, pretrained)
    try:
        return _create(name, dilate, in_chans=in_channels, **weights)
    # The hub, the network and timm have errors of their own each.
    except Exception as error:
        cause = textwrap.shorten(f"{type(error).__name__}: {error}", 240, placeholder="...")
        if pretrained is True:
            raise ValueError(
                f"pretrained is True, but timm cannot fetch the weights of {name!r}: give the path of a .safetensors "
                f"file that has them, or False ({cause})"
            ) from error
        if pretrained:
            raise ValueError(f"pretrained is {pretrained!r}, which does not fit {name!r} ({cause})") from error
        raise


def fixed_size(model: Any) -> tuple[int, int] | None:
    """Return the one height and width that a model takes, in pixels; None if it takes more than one."""
    config = timm.models.get_model_input_config(model)
    _, height, width = config["input_size"]
    # Attention over blocks of a fixed size has no flag, but timm says that the model's own size is the least.
    only = config["fixed_input_size"] or model.pretrained_cfg.get("min_input_size") == (3, height, width)
    return (height, width) if only else None


def _create(name: str, dilate: bool, **options: Any) -> nn.Module:
    wishes: list[dict[str, Any]] = [{"dynamic_img_size": True}]
    if dilate:
        wishes.append({"output_stride": 16})
    for wish in wishes:
        try:
            return timm.create_model(name, **options, **wish)
        except (TypeError, AssertionError, NotImplementedError):
            # What a family answers to an option that it does not have, or to a value that it does not take.
            continue
    return timm.create_model(name, **options)


def _from_file(name: str, path: str) -> dict[str, Any]:
    """Return the options with which timm loads a file strictly, whatever classes the classifier in it tells apart."""
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"pretrained is {path!r}: expected True, False or the path of a .safetensors file")
    if not Path(path).is_file():
        raise ValueError(f"pretrained is {path!r}: there is no such file")
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
        raise ValueError(f"pretrained is {path!r}, which is not a whole safetensors file ({error})") from error
    return options
