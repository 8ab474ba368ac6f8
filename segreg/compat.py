"""Workarounds for other libraries that plugins depend on."""

import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []
_SECONDS = 5


def patch_torchvision() -> None:
    """Make torchvision importable with a torch that it was not built for. Call it before `import timm` and the like.

    pip may install a CUDA build of torchvision with a torch that has no CUDA. Its compiled operators then fail to load,
    and the import of its Python part, which many libraries need only for transforms, fails with
    `operator torchvision::nms does not exist`. This function declares the operators without an implementation, so that
    they can be registered; a torchvision that works, or none, is left alone. The workaround is logged once, as a
    warning of `segreg.compat`, and not again by processes that this one starts. Calls of the operators still fail.
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
        _declared.append(library)  # the declarations last as long as the object
        import torchvision

        if multiprocessing.parent_process():
            return
        logging.getLogger(__name__).warning(
            "torchvision %s does not match torch %s: its operators %s are declared without code to allow the import",
            torchvision.__version__,
            torch.__version__,
            " and ".join(_SCHEMAS),
        )


@contextmanager
def unreachable_hub_skipped() -> Iterator[None]:
    """Let huggingface_hub use only its cache in the block if the Hub does not answer within five seconds.

    By itself it tries again and again, for up to two minutes, before it reports that there is no network.
    """
    from huggingface_hub import constants, get_session

    answered = []

    def ask() -> None:
        # Its own errors, and those of its HTTP library, which depends on the version.
        with suppress(Exception):
            answered.append(get_session().head(constants.ENDPOINT, timeout=_SECONDS))

    # In a thread, since finding the address and trying several have no limit of their own.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_SECONDS)
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not answered
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
