"""Repairs for other libraries that a plugin stands on."""

import logging

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []


def mend_torchvision() -> None:
    """Let torchvision be imported beside a torch that it was not built for. Call it before `import timm` and the like.

    pip takes a torchvision that is built for CUDA where torch is not. Its compiled operators do not load there, and
    its Python part, which many libraries need for no more than transforms, dies of
    `operator torchvision::nms does not exist`. Declared here without code, the operators can be registered; nothing
    changes for a torchvision that works, or none. What was done is logged once, as a warning of `segreg.compat`;
    a call of one of the operators still fails.
    """
    try:
        import torchvision
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator, schema in _SCHEMAS.items():
            library.define(operator + schema)  # type: ignore[no-untyped-call]
        _declared.append(library)  # the declarations go with the object
        import torchvision

        logging.getLogger(__name__).warning(
            "torchvision %s does not fit torch %s: its operators %s are declared without code, so that it imports",
            torchvision.__version__,
            torch.__version__,
            " and ".join(_SCHEMAS),
        )
