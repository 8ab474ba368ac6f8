"""Pretrained weights of VGG16 with batch normalisation, from a file or from the Hugging Face Hub."""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from segreg.compat import unreachable_hub_skipped
from segreg.errors import single_line

_TAG = "tv_in1k"
_NOT_LOADED = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_CONVOLUTION = re.compile(r"features\.(\d+)\.weight")


@torch.no_grad()
def load_vgg16(convolutions: list[tuple[nn.Conv2d, nn.BatchNorm2d]], pretrained: str) -> None:
    """Load the 13 convolutions of VGG16, each with its batch normalisation, in order.

    A convolution that has no bias gets that of the file from its batch normalisation: the mean is lower by it.

    Args:
        convolutions: What to load them into, in order.
        pretrained: The path of a .safetensors file with the names of torchvision's and timm's `vgg16_bn`, or the name
            of such a model of timm, whose weights are fetched from the Hugging Face Hub.

    Raises:
        ValueError: the file does not exist, cannot be fetched, or does not have these weights.
    """
    weights = _read(_file(pretrained), pretrained)
    # In the order of the network: features.10 follows features.7.
    places = sorted(
        int(found[1])
        for name, tensor in weights.items()
        if (found := _CONVOLUTION.fullmatch(name)) and tensor.ndim == 4
    )
    try:
        for (convolution, norm), place in zip(convolutions, places, strict=True):
            bias = weights.get(f"features.{place}.bias", torch.zeros(()))
            statistics = {name: weights[f"features.{place + 1}.{name}"] for name in ("weight", "bias", "running_var")}
            mean = weights[f"features.{place + 1}.running_mean"] - bias
            convolution.load_state_dict({"weight": weights[f"features.{place}.weight"]})
            norm.load_state_dict({**statistics, "running_mean": mean}, strict=False)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"pretrained is {pretrained!r}, which does not have the weights of VGG16 with batch normalisation, "
            f"features.0.weight to features.41.running_var ({single_line(error)[:120]})"
        ) from error


def _file(pretrained: str) -> Path:
    path = Path(pretrained)
    if path.suffix.lower() in _NOT_LOADED:
        name = path.with_suffix(".safetensors").name
        raise ValueError(
            f"pretrained is {pretrained!r}, a format that can run code: convert it with safetensors.torch.save_file("
            f"torch.load({path.name!r}, weights_only=True), {name!r}), and give the .safetensors file"
        )
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise ValueError(f"pretrained is {pretrained!r}: the file does not exist")
        return path
    if not re.fullmatch(r"vgg16_bn(\.\w+)?", pretrained):
        raise ValueError(
            f"pretrained is {pretrained!r}: expected the path of a .safetensors file, or the name of a VGG16 of timm "
            f"with batch normalisation, such as 'vgg16_bn.{_TAG}'"
        )
    return _fetched(pretrained if "." in pretrained else f"{pretrained}.{_TAG}")


def _fetched(name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ValueError(
            f"pretrained is {name!r}, which is fetched with huggingface_hub: pip install huggingface_hub, or give the "
            "path of a .safetensors file"
        ) from error
    try:
        with unreachable_hub_skipped():
            return Path(hf_hub_download(f"timm/{name}", "model.safetensors"))
    # Its own errors, and those of its HTTP library.
    except Exception as error:
        raise ValueError(
            f"pretrained is {name!r}, which cannot be fetched from the Hugging Face Hub: give the path of a "
            f".safetensors file ({single_line(error)[:160]})"
        ) from error


def _read(path: Path, pretrained: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"pretrained is {pretrained!r}, which is not a complete safetensors file ({single_line(error)[:120]})"
        ) from error
