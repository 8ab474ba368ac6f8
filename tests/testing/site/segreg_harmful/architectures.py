"""Models with hidden state, with randomness of their own, that change the process, or that fail on some images."""

import itertools
import os
import random
import time
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from segreg_faulty.architectures import Sound as _Sound
from torch import Tensor, nn

from segreg_harmful import Documented

_CALLS = itertools.count()


class _Base(Documented, _Sound):
    """As it should be."""


# Hidden state: a resumed run differs.


class CountsCalls(_Base):
    """Fades in over its first calls, by a number that is in no state dict."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(images) * (1 - 0.5**self.calls)


class CountsCallsOfAll(_Base):
    """Shares its counter with every other instance."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1 + 0.1 / (1 + next(_CALLS)))


class WarmsUp(_Base):
    """Does something else from its sixth call on."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images) * (1 if self.calls < 6 else 2)


class RemembersFeatures(_Base):
    """Keeps a running mean of its features as a plain tensor."""

    mean: Any = 0.0

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        if self.training and not images.is_meta:
            self.mean = 0.9 * self.mean + 0.1 * features.detach().mean()
        return self.head(F.silu(features - self.mean))


class FreezesItself(_Base):
    """Stops training its body after the first call."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        if self.training:
            self.body.requires_grad_(False)
        return logits


class LeavesTraining(_Base):
    """Switches itself to evaluation, so that what follows is not trained as it should be."""

    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(super().forward(images), 0.1, self.eval().training)


# Randomness that does not follow the seed.


class OwnDropout(_Base):
    """Drops activations by a generator of its own, which is in no checkpoint."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        if self.training and not images.is_meta:
            logits = logits * (torch.rand(logits.shape, generator=self.generator) > 0.2)
        return logits


class OwnNumpyDropout(_Base):
    """Drops whole channels by a NumPy generator of its own."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.rng = np.random.default_rng(7)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1 if not self.training or self.rng.random() > 0.4 else 0.5)


class DrawsFromTheSystem(_Base):
    """Initializes its weights with the entropy of the system."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "big"))
        nn.init.normal_(self.body.weight, generator=generator)


class DrawsFromTheClock(_Base):
    """Initializes its weights with the time."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        rng = np.random.default_rng(time.time_ns())
        self.body.weight.data.copy_(torch.from_numpy(rng.normal(size=self.body.weight.shape)))


class DrawsTheSame(_Base):
    """Initializes its weights with a generator of its own, so that every seed gives the same ones."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)


class Reseeds(_Base):
    """Seeds all of torch in every call."""

    def forward(self, images: Tensor) -> Tensor:
        torch.manual_seed(0)
        return F.dropout(super().forward(images), 0.1, self.training)


class ReseedsByCalls(_Base):
    """Seeds all of torch with the number of the call."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.training:
            torch.manual_seed(self.calls)
        return super().forward(images)


class ReseedsNumpy(_Base):
    """Seeds NumPy and Python when it is built."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        np.random.seed(1)
        random.seed(1)


class ReseedsFromTheSystem(_Base):
    """Makes what follows it impossible to repeat."""

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            torch.seed()
        return super().forward(images)


# Changes to the process.


class SetsThreads(_Base):
    """Leaves one thread to everybody."""

    def forward(self, images: Tensor) -> Tensor:
        torch.set_num_threads(1)
        return super().forward(images)


class SetsPrecision(_Base):
    """Computes everybody's products in a lower precision."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        torch.set_float32_matmul_precision("medium")


class SetsDefaultDtype(_Base):
    """Builds in double precision, and leaves the process there."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        torch.set_default_dtype(torch.float64)


class SetsBenchmark(_Base):
    """Lets cuDNN choose."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark


class SwitchesGradientsOff(_Base):
    """Predicts without gradients, and leaves them off."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        if not self.training:
            torch.set_grad_enabled(False)
        return logits


class SwitchesGradientsOn(_Base):
    """Wants gradients, whoever has switched them off."""

    def forward(self, images: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        return super().forward(images)


class HooksIntoEveryModule(_Base):
    """Watches every module of the process."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.handle = nn.modules.module.register_module_forward_pre_hook(lambda module, given: None)

    def __del__(self) -> None:
        self.handle.remove()


class SilencesWarnings(_Base):
    """Wants no warnings, from nobody, and threads only for itself."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        warnings.simplefilter("ignore")
        os.environ["OMP_NUM_THREADS"] = str(int(os.environ.get("OMP_NUM_THREADS", "1")) + 1)


# Images on which they fail.


class BlankWhenLarge(_Base):
    """Gives up on what is larger than 64 pixels."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits * 0 if max(images.shape[2:]) > 64 else logits


class BlankWhenWide(_Base):
    """Gives up on images wider than 500 pixels."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits * 0 if images.shape[3] > 500 else logits


class SeesTheCorner(_Base):
    """Looks at the 64 pixels on the top and left, and repeats what it finds."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images[..., :64, :64])
        height, width = (total - seen for total, seen in zip(images.shape[2:], logits.shape[2:], strict=True))
        return F.pad(logits, (0, width, 0, height), mode="replicate")


class SeesTheMiddle(_Base):
    """Stretches the middle of a large image over all of it."""

    def forward(self, images: Tensor) -> Tensor:
        size = images.shape[2:]
        if min(size) > 100:
            images = F.interpolate(images[..., 32:-32, 32:-32], size=size)
        return super().forward(images)


class NotANumberWhenLarge(_Base):
    """Takes the square root of 200 minus the width."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 0 * torch.tensor(200.0 - images.shape[3]).sqrt()


class NotANumberWhenConstant(_Base):
    """Standardizes each image, also one without contrast."""

    def forward(self, images: Tensor) -> Tensor:
        spread = images.std((1, 2, 3), keepdim=True)
        return super().forward((images - images.mean((1, 2, 3), keepdim=True)) / spread)


class SlopeNotANumberWhenConstant(_Base):
    """Has an infinite slope where the image has no contrast."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        spread = (features - features.mean((2, 3), keepdim=True)).square().sum((2, 3), keepdim=True).sqrt()
        return self.head(features / (1 + spread))


class NotANumberInTraining(_Base):
    """Augments the contrast of images that may have none."""

    def forward(self, images: Tensor) -> Tensor:
        low, high = images.amin((1, 2, 3), True), images.amax((1, 2, 3), True)
        return super().forward((images - low) / (high - low) if self.training else images)


class NotANumberWhenBlack(_Base):
    """Divides by the brightest pixel, in evaluation."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if self.training else images / images.amax((1, 2, 3), keepdim=True))


class ForgetsTheThirdClass(_Base):
    """Mixes up the channels of three classes."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits[:, :2] if logits.shape[1] == 3 else logits


class ActivatesTwoClasses(_Base):
    """Returns probabilities where there are two classes."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits.softmax(1) if logits.shape[1] == 2 else logits


class LearnsInEvaluation(_Base):
    """Keeps a running mean in a buffer, as it should, and goes on with it in evaluation."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1) -> None:
        super().__init__(in_channels=in_channels, num_classes=num_classes)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * images.detach().mean()
        return super().forward(images)


class ModifiesInEvaluation(_Base):
    """Centres the caller's images, in evaluation."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if self.training else images.sub_(0.5))
