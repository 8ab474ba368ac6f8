"""Other libraries as oracles. Each of these skips the test where the library is not installed."""

from types import ModuleType

import pytest

from segreg.compat import patch_torchvision


def import_smp() -> ModuleType:
    """Return segmentation_models_pytorch."""
    patch_torchvision()
    return pytest.importorskip("segmentation_models_pytorch")


def import_monai() -> ModuleType:
    """Return MONAI, with its losses imported."""
    patch_torchvision()
    monai = pytest.importorskip("monai")
    pytest.importorskip("monai.losses")
    return monai
