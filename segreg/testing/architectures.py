"""The conformance checks of an architecture: `forward(images float [B, C, H, W]) -> logits float [B, K, H, W]`."""

import copy

import safetensors.torch
import torch
from torch import Tensor, nn

from segreg.nn.fuse import ready_to_predict
from segreg.specs import Architecture
from segreg.testing.components import REFERENCE
from segreg.testing.subject import Check, ComponentSubject, agree, difference, expect, settled, shaken

# What a different order of summation may change, as a fraction of the logits' spread.
_FLOAT32 = 1e-3


def _min_size(subject: ComponentSubject) -> int:
    record = subject.entry.record
    return record.min_size if isinstance(record, Architecture) else 1


def _size(subject: ComponentSubject) -> tuple[int, int]:
    """Return a small size of odd numbers."""
    return (_min_size(subject) + 1) | 1, (_min_size(subject) + 15) | 1


def _images(subject: ComponentSubject, batch: int = 2, channels: int = 3) -> Tensor:
    return torch.rand(batch, channels, *_size(subject))


def _settled(subject: ComponentSubject) -> nn.Module:
    model: nn.Module = subject.build()
    return settled(model, _images(subject, batch=4))


def any_channels_and_classes(subject: ComponentSubject) -> None:
    """With 1, 3 and 4 channels and 1, 2 and 5 classes, logits are float32, of the size of the images."""
    for channels in (1, 3, 4):
        for classes in (1, 2, 5):
            images = _images(subject, channels=channels)
            with torch.no_grad():
                logits = subject.build(in_channels=channels, num_classes=classes).eval()(images)
            _expect_logits(logits, images, classes)


def any_size(subject: ComponentSubject) -> None:
    """Logits are as large as the images, for any height and width of at least the record's `min_size`."""
    model = subject.build().eval()
    minimum, (height, width) = _min_size(subject), _size(subject)
    for size in ((minimum, minimum), (height, width), (width, height), (height + 2, 2 * width + 1)):
        images = torch.rand(1, 3, *size)
        with torch.no_grad():
            _expect_logits(model(images), images, 1)


def batch_of_one(subject: ComponentSubject) -> None:
    """One image is enough to train on, also at the minimum size."""
    minimum = _min_size(subject)
    model = subject.build().train()
    for images in (_images(subject, batch=1), torch.rand(1, 3, minimum, minimum)):
        logits = model(images)
        _expect_logits(logits, images, 1)
        logits.mean().backward()


def evaluation_is_deterministic(subject: ComponentSubject) -> None:
    """In evaluation mode the same images give the same logits."""
    model, images = _settled(subject), _images(subject)
    with torch.no_grad():
        expect(torch.equal(model(images), model(images)), "two calls with the same images give different logits")


def images_of_a_batch_are_independent(subject: ComponentSubject) -> None:
    """In evaluation mode an image's logits do not depend on the other images of the batch."""
    model, images = _settled(subject), _images(subject, batch=3)
    others = torch.cat([images[:1], images[1:] ** 4])
    with torch.no_grad():
        logits = model(images)
        agree(model(others)[:1], logits[:1], _FLOAT32, "the first image beside others")
        agree(model(images[:1]), logits[:1], _FLOAT32, "the first image alone")


def images_are_not_modified(subject: ComponentSubject) -> None:
    """The input images are not modified."""
    images = _images(subject)
    kept = images.clone()
    subject.build().train()(images)
    expect(torch.equal(images, kept), "the model changes the images in place")


def every_parameter_learns(subject: ComponentSubject) -> None:
    """Every parameter that requires a gradient gets one, and it is finite."""
    model, images = subject.build().train(), _images(subject)
    logits = model(images)
    (logits * torch.randn_like(logits)).mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            expect(parameter.grad is not None, f"no gradient reaches the parameter {name}: it is not used")
            expect(parameter.grad.isfinite().all(), f"the gradient of {name} is not finite")


def logits_are_not_activated(subject: ComponentSubject) -> None:
    """The model returns logits, not probabilities."""
    for classes in (1, 3):
        model = settled(subject.build(num_classes=classes), _images(subject, batch=4))
        # The logits of one set of weights may be anywhere by chance; those of eight are not.
        probable, negative = [], []
        for _ in range(8):
            with torch.no_grad():
                logits = shaken(model)(_images(subject))
            probable.append(bool((logits >= 0).all() and (logits <= 1).all()))
            negative.append(bool((logits <= 0).all()))
        within = "between 0 and 1" if all(probable) else "at 0 and below" if all(negative) else ""
        expect(not within, f"whatever the weights, all logits are {within}: leave the activation to the loss")


def weights_survive_a_file(subject: ComponentSubject) -> None:
    """The state dict, saved by safetensors and loaded into a newly built model, gives the same logits."""
    model, images = _settled(subject), _images(subject)
    written = safetensors.torch.save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    again = subject.build().eval()
    again.load_state_dict(safetensors.torch.load(written))
    with torch.no_grad():
        agree(again(images), model(images), _FLOAT32, "logits after a round trip of the weights")


def copies_are_separate(subject: ComponentSubject) -> None:
    """A deep copy gives the same logits and shares no memory with the model."""
    model, images = _settled(subject), _images(subject)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(images)
        agree(twin(images), expected, _FLOAT32, "logits of a deep copy")
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.zero_()
        agree(model(images), expected, _FLOAT32, "logits after a change to a deep copy")


def channels_last_agrees(subject: ComponentSubject) -> None:
    """With channels last in memory the logits are the same."""
    model, images = _settled(subject), _images(subject)
    with torch.no_grad():
        expected = model(images)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        got = model(images.to(memory_format=torch.channels_last))
    agree(got, expected, _FLOAT32, "logits with channels last")


def bfloat16_agrees(subject: ComponentSubject) -> None:
    """Under autocast to bfloat16 the logits are off by at most 5 % of their spread.

    In addition they may be off by three times as much as float32 is with weights and images rounded to bfloat16: a deep
    model with random weights amplifies a little noise, and that is not its author's mistake.
    """
    model, images = _settled(subject), _images(subject)
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16())
        expected = model(images)
        noise = difference(rounded(images.bfloat16().float()), expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = model(images)
    agree(got, expected, min(0.05 + 3 * noise, 0.95), "logits in bfloat16")


def predicts_as_it_was_trained(subject: ComponentSubject) -> None:
    """Prepared for prediction, with batch normalisation folded into convolutions, it gives the same logits."""
    model, images = _settled(subject), _images(subject)
    with torch.no_grad():
        ready = ready_to_predict(model, torch.device("cpu"), "fp32")
        agree(ready(images), model(images), _FLOAT32, "logits with batch normalisation folded")


def runs_without_values(subject: ComponentSubject) -> None:
    """It can be called on the `meta` device, built or moved there: nothing synchronizes or stays on another device.

    torch has no autocast for `meta`: a model that disables it must do so for `cuda` or `cpu` by name.
    """
    images = torch.empty(2, 3, *_size(subject), device="meta")
    with torch.device("meta"):
        built_there = subject.build()
    for model in (built_there, subject.build().to("meta")):
        _expect_logits(model(images), images, 1)


def can_be_exported(subject: ComponentSubject) -> None:
    """`torch.export` accepts it, at a fixed size, and the program gives the same logits."""
    model, images = _settled(subject), _images(subject)
    with torch.no_grad():
        program = torch.export.export(model, (images,))
        agree(program.module()(images), model(images), _FLOAT32, "logits of the exported program")


def can_be_compiled(subject: ComponentSubject) -> None:
    """`torch.compile` accepts it, and the logits are the same. No code is generated: that needs a C++ compiler."""
    model, images = _settled(subject), _images(subject)
    # After several models of one class the compiler would give up, and run this one uncompiled.
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        agree(compiled(images), model(images), _FLOAT32, "logits of the compiled model")


def _expect_logits(logits: Tensor, images: Tensor, classes: int) -> None:
    expected = [len(images), classes, *images.shape[2:]]
    expect(isinstance(logits, Tensor), f"it returns {type(logits).__name__}, not a tensor")
    expect(list(logits.shape) == expected, f"images {list(images.shape)} give {list(logits.shape)}, not {expected}")
    expect(logits.dtype == torch.float32, f"float32 images give {logits.dtype} logits")
    if logits.device.type != "meta":
        expect(logits.isfinite().all(), f"images {list(images.shape)} give logits that are not finite")


CHECKS = (
    REFERENCE,
    Check(any_channels_and_classes),
    Check(any_size),
    Check(batch_of_one),
    Check(evaluation_is_deterministic),
    Check(images_of_a_batch_are_independent),
    Check(images_are_not_modified),
    Check(every_parameter_learns),
    Check(logits_are_not_activated),
    Check(weights_survive_a_file),
    Check(copies_are_separate),
    Check(channels_last_agrees),
    Check(bfloat16_agrees),
    Check(predicts_as_it_was_trained),
    Check(runs_without_values),
    Check(can_be_exported, slow=True),
    Check(can_be_compiled, slow=True),
)
