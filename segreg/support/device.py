"""What the hardware is and what it supports natively."""

import ctypes
import gc
import platform
from contextlib import suppress
from typing import Any, Literal

import torch

from segreg.errors import OptionError

Precision = Literal["auto", "bf16", "fp32"]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def detect(name: str = "auto") -> torch.device:
    """Return the device to train on: the one named, or with `auto` the accelerator if there is one, else the CPU.

    Raises:
        OptionError: the device does not exist here.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    here = {accelerator.type: torch.accelerator.device_count()} if accelerator else {}
    here["cpu"] = 1
    device = None
    with suppress(RuntimeError):
        device = torch.device((accelerator or "cpu") if name == "auto" else name)
    # torch parses cuda:128 as cuda:-128.
    if device is None or not 0 <= (device.index or 0) < here.get(device.type, 0):
        counts = ", ".join(f"{count} {kind}" for kind, count in here.items())
        raise OptionError(f"device is {name!r}: this machine has {counts}; `auto` selects the first")
    return device


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively; emulation would be slower than float32."""
    if device.type == "cpu":
        return any(_cpu_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    if device.type == "cuda":
        native: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return native
    return device.type == "xpu"


def uses_bf16(device: torch.device, precision: Precision) -> bool:
    """Whether convolutions run in bfloat16: as the precision says, or with `auto` if the hardware does so natively."""
    return precision == "bf16" or (precision == "auto" and computes_in_bf16(device))


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return a context in which convolutions run in the precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(device, precision))


def keep_freed_memory() -> None:
    """Make the C library keep freed tensor memory for the next tensors, if it is glibc.

    By default it returns large blocks to the system, which clears every page of them before the next step may use them
    again. On a CPU that cost 1/8 of a training step (U-Net, batches of 4 at 64×64, two cores).
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 2**30)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory(device: torch.device) -> None:
    """Free memory that nothing refers to any more, so that something smaller fits."""
    gc.collect()
    if device.type != "cpu":
        torch.accelerator.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device, or the machine, has no memory left for a tensor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # MPS, torch's allocator for the CPU, the C++ library, and oneDNN, which reports no more than this.
    words = ("out of memory", "can't allocate memory", "bad_alloc", "could not create a primitive")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)


def device_name(device: torch.device) -> str:
    """Return a readable name of the device: `cpu (AMD EPYC, 2 threads)`, `cuda:0 (NVIDIA H100)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({_cpu_capabilities().get('cpu_name') or platform.machine()}, {torch.get_num_threads()} threads)"
    return str(device)


def _cpu_capabilities() -> dict[str, Any]:
    # Public in newer torch only; without it the safe answer is that the CPU has no special capabilities.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return capabilities
