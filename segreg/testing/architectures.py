"""The conformance checks of an architecture: `forward(images float [B, C, H, W]) -> logits float [B, K, H, W]`."""

import copy
from collections.abc import Iterator, Sequence

import safetensors.torch
import torch
from torch import Tensor, nn

from segreg.nn.fuse import ready_to_predict
from segreg.specs import Architecture
from segreg.testing.components import REFERENCE
from segreg.testing.models import (
    agree,
    difference,
    expect_logits,
    settled,
    shaken,
    tiles,
    trained,
    without_finite_gradient,
)
from segreg.testing.process import expect_no_global_change, expect_seeded
from segreg.testing.subject import Check, ComponentSubject, expect, expect_resumed, same_values

# What a different order of summation may change, as a fraction of the logits' spread.
_FLOAT32 = 1e-3
# Sides of large images, in evaluation and in training.
_LARGE, _LARGE_IN_TRAINING, _LONG = (257, 289), (129, 145), 545


def _min_size(subject: ComponentSubject) -> int:
    record = subject.entry.record
    return record.min_size if isinstance(record, Architecture) else 1


def _size(subject: ComponentSubject) -> tuple[int, int]:
    """Return a small size of odd numbers."""
    return (_min_size(subject) + 1) | 1, (_min_size(subject) + 15) | 1


def _images(subject: ComponentSubject, batch: int = 2, channels: int = 3) -> Tensor:
    return torch.rand(batch, channels, *_size(subject))


def _smallest(subject: ComponentSubject) -> Tensor:
    return torch.rand(2, 3, *[_min_size(subject)] * 2)


def _settled(subject: ComponentSubject) -> nn.Module:
    model: nn.Module = subject.build()
    return settled(model, _images(subject, batch=4))


def any_channels_and_classes(subject: ComponentSubject) -> None:
    """With 1, 3 and 4 channels and 1, 2, 3 and 5 classes, logits are float32, of the size of the images."""
    for channels, classes in ((1, 1), (1, 3), (3, 2), (3, 5), (4, 3)):
        images = _images(subject, channels=channels)
        with torch.no_grad():
            logits = subject.build(in_channels=channels, num_classes=classes).eval()(images)
        expect_logits(logits, images, classes)


def any_size(subject: ComponentSubject) -> None:
    """Logits are as large as the images, for any height and width of at least the record's `min_size`."""
    model = subject.build().eval()
    minimum, (height, width) = _min_size(subject), _size(subject)
    for size in ((minimum, minimum), (height, width), (width, height), (height + 2, 2 * width + 1)):
        images = torch.rand(1, 3, *size)
        with torch.no_grad():
            expect_logits(model(images), images, 1)


def batch_of_one(subject: ComponentSubject) -> None:
    """One image is enough to train on, also at the minimum size."""
    minimum = _min_size(subject)
    model = subject.build().train()
    for images in (_images(subject, batch=1), torch.rand(1, 3, minimum, minimum)):
        logits = model(images)
        expect_logits(logits, images, 1)
        logits.mean().backward()


def large_images_are_seen(subject: ComponentSubject) -> None:
    """In images of up to 257x289 pixels, or 545 in one direction, logits vary everywhere and depend on every part."""
    model, minimum = _settled(subject), _min_size(subject)
    for size in (_LARGE, (minimum, _LONG), (_LONG, minimum)):
        images = torch.rand(1, 3, *(max(side, minimum) for side in size))
        with torch.no_grad():
            logits = model(images)
        expect_logits(logits, images, 1)
        constant = tiles(logits).std(1) <= 1e-6 * logits.std()
        expect(not constant.any(), f"images {list(images.shape)} give logits that are constant in a part of them")
    images = torch.rand(1, 3, *(max(side, minimum) for side in _LARGE_IN_TRAINING)).requires_grad_()
    logits = model.train()(images)
    expect_logits(logits, images, 1)
    (slope,) = torch.autograd.grad(logits, images, torch.randn_like(logits))
    seen = tiles(slope).abs().amax(1) > 0
    expect(seen.all(), f"a part of images {list(images.shape)} has no influence on the logits")


def constant_images_stay_finite(subject: ComponentSubject) -> None:
    """Images that are black, white or grey all over give finite logits and gradients."""
    black = torch.zeros_like(_smallest(subject))
    model = subject.build()
    for images in (black, torch.cat([black[:1], black[:1] + 0.5, black[:1] + 1, torch.rand_like(black[:1])])):
        with torch.no_grad():
            logits = model.eval()(images)
        expect(logits.isfinite().all(), "in evaluation mode, images without contrast give logits that are not finite")
        # A deep model may amplify gradients beyond float32 where all is zero, which is not its author's mistake.
        objection = without_finite_gradient(model, images) and without_finite_gradient(model.double(), images.double())
        expect(not objection, f"images without contrast give {objection} that is not finite")
        model.float()


def evaluation_is_deterministic(subject: ComponentSubject) -> None:
    """In evaluation mode the same images give the same logits, and change nothing in the state dict."""
    model, images = _settled(subject), _images(subject)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        expect(torch.equal(model(images), model(images)), "two calls with the same images give different logits")
    for name, tensor in model.state_dict().items():
        expect(same_values(tensor, before[name]), f"a call in evaluation mode changes {name}")


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
    images, model = _images(subject), subject.build()
    kept = images.clone()
    for training in (True, False):
        model.train(training)(images)
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
    for classes in (1, 2, 3):
        model = settled(subject.build(num_classes=classes), _images(subject, batch=4))
        within = {"between 0 and 1", "at 0 and below"}
        # The logits of one set of weights may be anywhere by chance; those of eight are not.
        for _ in range(8):
            with torch.no_grad():
                logits = model(_images(subject))
            if (logits < 0).any() or (logits > 1).any():
                within.discard("between 0 and 1")
            if (logits > 0).any():
                within.discard("at 0 and below")
            if not within:
                break
            shaken(model)
        expect(
            not within,
            f"whatever the weights, all logits are {' and '.join(within)}: leave the activation to the loss",
        )


def weights_survive_a_file(subject: ComponentSubject) -> None:
    """The state dict, saved by safetensors and loaded into a newly built model, gives the same logits."""
    model, images = _settled(subject), _images(subject)
    written = safetensors.torch.save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    again = subject.build().eval()
    again.load_state_dict(safetensors.torch.load(written))
    with torch.no_grad():
        agree(again(images), model(images), _FLOAT32, "logits after a round trip of the weights")


def resumes_where_it_stopped(subject: ComponentSubject) -> None:
    """Trained for two steps, saved, loaded and trained for two more, it gives what it gives after four.

    So its whole state is in its state dict. Steps change neither which parameters are trained nor any module's mode.
    """
    batches = [_smallest(subject) for _ in range(4)]
    expect_resumed(lambda: subject.build().train(), lambda model, number: trained(model, batches[number]), steps=2)


def randomness_follows_the_seed(subject: ComponentSubject) -> None:
    """Built and called twice with one seed it gives the same, with another seed other weights; it never seeds itself.

    Weights that are loaded are the same for every seed: name the options for it in the record's `pretrained_options`.
    """
    weights, *_ = expect_seeded(lambda: _used(subject))
    record = subject.entry.record
    if isinstance(record, Architecture) and not record.pretrained_options:
        drawn = [(one, other) for one, other in weights if one.numel() > 1 and one.std() > 0]
        same = sum(one.numel() for one, other in drawn if torch.equal(one, other))
        expect(
            2 * same <= sum(one.numel() for one, _ in drawn),
            "with two seeds it starts from the same weights: initialize them from torch's global generator",
        )


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Building and calling it changes nothing of the process: torch's settings, directory, environment, streams."""
    expect_no_global_change(lambda: _used(subject), may_draw=True)


def _used(subject: ComponentSubject) -> Iterator[tuple[str, Sequence[Tensor]]]:
    model, images = subject.build(), _smallest(subject)
    yield "building it", [each.detach() for each in model.parameters() if each.requires_grad]
    yield "building it", [each.clone() for each in model.buffers()]
    logits = model.train()(images)
    yield "calling it in training mode", [logits.detach()]
    logits.mean().backward()
    yield "its backward pass", []
    yield "calling it in evaluation mode", [model.eval()(images).detach()]
    with torch.no_grad():
        model(images)
        expect(not torch.is_grad_enabled(), "calling it without gradients switches them on")


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
        expect_logits(model(images), images, 1)


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


CHECKS = (
    REFERENCE,
    Check(any_channels_and_classes),
    Check(any_size),
    Check(large_images_are_seen),
    Check(batch_of_one),
    Check(constant_images_stay_finite),
    Check(evaluation_is_deterministic),
    Check(images_of_a_batch_are_independent),
    Check(images_are_not_modified),
    Check(every_parameter_learns),
    Check(logits_are_not_activated),
    Check(weights_survive_a_file),
    Check(resumes_where_it_stopped),
    Check(randomness_follows_the_seed),
    Check(global_state_is_not_modified),
    Check(copies_are_separate),
    Check(channels_last_agrees),
    Check(bfloat16_agrees),
    Check(predicts_as_it_was_trained),
    Check(runs_without_values),
    Check(can_be_exported, slow=True),
    Check(can_be_compiled, slow=True),
)
