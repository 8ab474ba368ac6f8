"""Other libraries as oracles. Each of these skips the test where the library is not installed."""

from types import ModuleType

import pytest

from segreg.compat import mend_torchvision


def import_smp() -> ModuleType:
    """Return segmentation_models_pytorch."""
    mend_torchvision()
    return pytest.importorskip("segmentation_models_pytorch")


def import_monai() -> ModuleType:
    """Return MONAI, with its losses imported."""
    mend_torchvision()
    monai = pytest.importorskip("monai")
    pytest.importorskip("monai.losses")
    return monai
