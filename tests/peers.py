"""Other libraries as oracles. Each of these skips the test where the library is not installed."""

from types import ModuleType

import pytest
import torch

_declared: list[torch.library.Library] = []


def import_smp() -> ModuleType:
    """Return segmentation_models_pytorch."""
    _mend_torchvision()
    return pytest.importorskip("segmentation_models_pytorch")


def import_monai() -> ModuleType:
    """Return MONAI, with its losses imported."""
    _mend_torchvision()
    monai = pytest.importorskip("monai")
    pytest.importorskip("monai.losses")
    return monai


def _mend_torchvision() -> None:
    """Let torchvision import beside a torch that it was not built for.

    Its compiled operators do not load there, and its Python code dies of `operator torchvision::nms does not exist`.
    Declared here, they can be registered, and nothing that the tests use calls them.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)  # the declarations go with the object
