"""The components of the plugin. segreg reads this module to list names, so it imports nothing but segreg."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture, Optimizer


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="unet",
            target="segreg_timm.unet:UNet",
            pretrained_options=("pretrained",),
            summary="U-Net whose contracting path is any timm backbone",
        ),
        Architecture(
            name="fpn",
            target="segreg_timm.fpn:FPN",
            pretrained_options=("pretrained",),
            summary="Feature pyramid over any timm backbone, its levels summed",
        ),
        Architecture(
            name="deeplabv3plus",
            target="segreg_timm.deeplabv3plus:DeepLabV3Plus",
            pretrained_options=("pretrained",),
            summary="Dilated convolutions over the last features of any timm backbone, refined by early ones",
        ),
    ]


@hookimpl
def segreg_optimizers() -> Iterable[Optimizer]:
    """Declare the optimizers, each under timm's name."""
    summaries = {
        "adabelief": "Adam whose steps are larger where the gradient is as expected",
        "adamp": "Adam without steps that only lengthen normalised weights",
        "adan": "Adam with Nesterov momentum from differences of gradients",
        "adopt": "Adam that scales a gradient by those before it",
        "lamb": "Adam scaled by the norm of each layer, for large batches",
        "laprop": "Adam that averages gradients after scaling them",
        "lars": "SGD scaled by the norm of each layer, for large batches",
        "lion": "Steps of one size, with the sign of the averaged gradient",
        "madgrad": "AdaGrad by dual averaging, with momentum",
        "mars": "AdamW on gradients of reduced variance",
        "muon": "Orthogonal steps for matrices and convolutions, AdamW for the rest",
        "nadamw": "AdamW with Nesterov momentum",
        "novograd": "Momentum of gradients scaled by the norm of their layer",
        "radam": "Adam that does not scale its first steps",
        "rmsproptf": "RMSprop as in TensorFlow",
        "sgdw": "SGD with Nesterov momentum and decoupled weight decay",
    }
    return [
        Optimizer(name=name, target=f"segreg_timm.optimizers:{name}", summary=summary)
        for name, summary in summaries.items()
    ]
