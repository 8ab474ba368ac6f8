"""Detection of the hardware."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from segreg.errors import OptionError
from segreg.support.device import autocast, computes_in_bf16, detect, device_name

CPU = torch.device("cpu")


def test_auto_selects_the_accelerator_or_else_the_cpu() -> None:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    assert detect() == (accelerator or CPU)


def test_an_available_device_is_used() -> None:
    assert detect("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "", "cpu:1", "cuda:99", "meta", "cuda:x"])
def test_an_unavailable_device_is_named_with_the_available_ones(name: str) -> None:
    with pytest.raises(OptionError) as error:
        detect(name)
    assert f"device is {name!r}: this machine has " in str(error.value)
    assert "1 cpu; `auto` selects the first" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no other source to compare with")
def test_the_cpu_is_asked_whether_it_computes_in_bfloat16() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert computes_in_bf16(CPU) == bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


@pytest.mark.parametrize(
    ("precision", "kind"),
    [
        ("fp32", torch.float32),
        ("bf16", torch.bfloat16),
        ("auto", torch.bfloat16 if computes_in_bf16(CPU) else torch.float32),
    ],
)
def test_the_precision_determines_what_convolutions_compute_in(precision: str, kind: torch.dtype) -> None:
    with autocast(CPU, precision):  # type: ignore[arg-type]
        assert F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)).dtype == kind


def test_a_device_is_described_for_a_person() -> None:
    assert device_name(CPU).startswith("cpu (")
    assert f"{torch.get_num_threads()} threads" in device_name(CPU)
