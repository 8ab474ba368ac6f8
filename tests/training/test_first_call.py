"""Components that do not fit the data are reported before the images are read."""

from pathlib import Path

import numpy as np
import pytest
import torch

import segreg
from segreg.errors import DataError, OptionError
from segreg.recipe import make_recipe
from segreg.registry import registry
from segreg.support.randomness import random_state
from segreg.training.first_call import check_first_call
from tests.builtins.datasets.files import colours, save
from tests.conftest import Site
from tests.trial import call

CPU = torch.device("cpu")


@pytest.fixture
def unread(tmp_path: Path) -> Path:
    """Forty images, of which only the first of the training set can be read."""
    root = tmp_path / "data"
    for index in range(40):
        save(root / "images" / f"{index:02d}.png", colours(12, 16))
        save(root / "masks" / f"{index:02d}.png", np.arange(192, dtype=np.uint8).reshape(12, 16) % 3)
    first = segreg.dataset("folder", root=str(root)).splits["train"].names[0]
    for path in (root / "images").iterdir():
        if path.stem != first:
            path.write_bytes(b"not an image")
    return root


THREE = "classes=[a,b,c]"


@pytest.mark.parametrize(
    ("words", "classes", "message"),
    [
        (
            ["--loss", "cross-entropy:class_weights=[1,5]"],
            THREE,
            "cross-entropy:class_weights=[1.0,5.0] cannot be used with 3 classes: "
            "class_weights has 2 weights for 3 classes",
        ),
        (
            ["--loss", "cross-entropy:class_weights=[1,2,3]"],
            "",
            "cross-entropy:class_weights=[1.0,2.0,3.0] cannot be used with 1 class: "
            "class_weights has 3 weights for 2 classes",
        ),
        (
            ["--loss", "dice+0.5*focal:alpha=0.75"],
            THREE,
            "focal:alpha=0.75 cannot be used with 3 classes: alpha is 0.75: expected None with 3 classes",
        ),
        (
            ["--loss", "trial/broken"],
            "",
            "trial/broken cannot be used with 1 class: RuntimeError: a <b>broken</b> loss of two lines",
        ),
        (
            ["--loss", "trial/per-image"],
            "",
            "trial/per-image cannot be used with 1 class: RuntimeError: grad can be implicitly created only for scalar",
        ),
        (["--metrics", "surface-dice:tolerance=-1"], "", "surface-dice: tolerance is -1.0: expected a finite number"),
    ],
)
def test_a_loss_or_metric_is_named_before_the_images_are_read(
    unread: Path, tmp_path: Path, words: list[str], classes: str, message: str
) -> None:
    data = f"folder:root={unread},{classes}".rstrip(",")
    start = ["train", "trial/dot", "--size", "8", "--epochs", "1", "--device", "cpu", "-q", "--data", data]
    status, out, err = call(*start, *words, "--out", str(tmp_path / "run"))
    assert (status, out) == (2, "")
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("unet:depth=9", "unet: depth is 9: expected from 1 to 6"),
        ("trial/valued", "trial/valued cannot be used with 3 classes: RuntimeError: only one class"),
    ],
)
def test_a_model_is_named_before_the_images_are_read(unread: Path, tmp_path: Path, model: str, message: str) -> None:
    words = ["train", model, "--data", f"folder:root={unread},{THREE}", "--size", "32", "--device", "cpu", "-q"]
    status, _, err = call(*words, "--loss", "cross-entropy", "--out", str(tmp_path / "run"))
    assert status == 2
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1


def test_components_that_fit_are_not_refused(tmp_path: Path) -> None:
    """A loss for large images only, and a model that cannot be built without values."""
    for size, model, loss in ((48, "trial/dot", "trial/wide"), (8, "trial/valued", "bce")):
        data = "trial/bands:train=2,valid=1"
        settings = {"data": data, "size": size, "epochs": 1, "device": "cpu", "quiet": True}
        assert segreg.fit(model, loss=loss, out=tmp_path / loss.replace("/", "-"), **settings).finished
    with pytest.raises(OptionError, match=r"^trial/wide cannot be used with 1 class: the images are too small$"):
        segreg.fit("trial/dot", loss="trial/wide", data="trial/bands", size=8, out=tmp_path / "small", quiet=True)


@pytest.mark.parametrize("classes", [("one",), ("a", "b", "c"), tuple(map(str, range(255)))])
def test_every_component_of_segreg_fits_any_number_of_classes(classes: tuple[str, ...]) -> None:
    names = {
        kind: [entry.key for entry in segreg.components(kind) if entry.plugin.distribution == "segreg"]
        for kind in ("loss", "metric")
    }
    recipe = make_recipe(model="trial/dot", loss="+".join(names["loss"]), metrics=names["metric"], size=8)
    check_first_call(recipe, segreg.dataset("trial/bands", classes=classes, train=1, valid=1), CPU)


@pytest.mark.parametrize("number", [0, 256])
def test_a_number_of_classes_that_is_no_task_is_reported_with_the_data(tmp_path: Path, number: int) -> None:
    data = f"trial/bands:train=2,valid=1,classes=[{','.join(map(str, range(number)))}]"
    with pytest.raises(DataError, match=r"^the dataset names (no class|256 classes): expected"):
        segreg.fit("trial/dot", loss="cross-entropy", data=data, size=8, out=tmp_path / "run", quiet=True)


def test_it_draws_no_random_numbers() -> None:
    recipe = make_recipe(model="trial/dot", loss="trial/noisy", data="trial/bands", size=8)
    before = random_state(CPU)
    check_first_call(recipe, segreg.dataset("trial/bands"), CPU)
    after = random_state(CPU)
    assert torch.equal(before.pop("torch"), after.pop("torch"))
    assert before == after


ODD_PLUGIN = """
from segreg import Augmentation, Optimizer, Schedule, hookimpl

def records(kind, names):
    return [kind(name=name.lower(), target=f"odd_parts:{name}", summary="", reference="ours") for name in names.split()]

@hookimpl
def segreg_optimizers():
    return records(Optimizer, "Closing List Exploding NoRate Unscaled")

@hookimpl
def segreg_schedules():
    return records(Schedule, "Negative Endless Late Text")

@hookimpl
def segreg_augmentations():
    return records(Augmentation, "Cropping Blinding Nothing Twisted")
"""
ODD_PARTS = '''
import torch

class Closing(torch.optim.LBFGS):
    """Needs a closure."""
    def __init__(self, params, *, lr: float = 0.1):
        super().__init__(params, lr=lr)

def List(params, *, lr: float = 0.1):
    """Is no optimizer."""
    return list(params)

class Exploding(torch.optim.SGD):
    """Divides by zero."""
    def __init__(self, params, *, lr: float = 0.1):
        super().__init__(params, lr=lr)

    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data /= 0

class NoRate(torch.optim.SGD):
    """Has no learning rate."""
    def __init__(self, params, *, momentum: float = 0.9):
        super().__init__(params, lr=0.1, momentum=momentum)

class Unscaled(torch.optim.Optimizer):
    """Has no learning rate in its groups."""
    def __init__(self, params, *, momentum: float = 0.9):
        super().__init__(params, {"momentum": momentum})

    def step(self):
        pass

class Negative:
    """Falls below zero."""
    def __call__(self, step, steps):
        return 0.5 - step / steps

class Endless:
    """Divides by zero."""
    def __call__(self, step, steps):
        return float("inf") if step == steps - 1 else 1.0

class Late:
    """Is right for a thousand steps."""
    def __call__(self, step, steps):
        return 1.0 if steps == 1000 or step < 2 else -1.0

class Text:
    """Returns text."""
    def __call__(self, step, steps):
        return "half"

class Cropping:
    """Cuts the edge off."""
    draws = 1
    def change(self, images, u):
        return images[..., 1:-1]

class Blinding:
    """Divides by zero."""
    draws = 1
    def change(self, images, u):
        return images / u[:, :, None, None]

class Nothing:
    """Does nothing."""
    draws = 1

class Twisted:
    """Returns a matrix without its last row."""
    draws = 1
    def matrix(self, u, size):
        return torch.eye(3)[:2].repeat(len(u), 1, 1)
'''


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--optimizer odd/closing", "optimizer odd/closing cannot be used: TypeError: "),
        (
            "--optimizer odd/list",
            "optimizer odd/list cannot be used: TypeError: it is of type list, not a torch.optim.",
        ),
        (
            "--optimizer odd/exploding",
            "optimizer odd/exploding cannot be used: a step makes weights that are not finite",
        ),
        ("--optimizer odd/norate --lr 0.1", "odd/norate has no option 'lr'; available: momentum"),
        ("--optimizer odd/unscaled", "optimizer odd/unscaled cannot be used: its groups have no lr, which a schedule"),
        ("--schedule odd/negative", "schedule odd/negative cannot be used: its factor is -0.001"),
        ("--schedule odd/endless", "schedule odd/endless cannot be used: its factor is inf at step 999 of 1000"),
        ("--schedule odd/late", "schedule odd/late: its factor is -1.0 at step 2 of 4: expected a finite number, 0 or"),
        ("--schedule odd/text", "schedule odd/text cannot be used: its factor is 'half' at step 0 of 1000"),
        ("--augment odd/cropping", "augmentation odd/cropping cannot be used: change returns [4, 3, 8, 6]: expected"),
        (
            "--augment odd/blinding",
            "augmentation odd/blinding cannot be used: change returns numbers that are not finite",
        ),
        (
            "--augment odd/nothing",
            "augmentation odd/nothing cannot be used: TypeError: it has none of the methods matrix",
        ),
        ("--augment odd/twisted", "augmentation odd/twisted cannot be used: matrix returns [4, 2, 3]: expected finite"),
    ],
)
def test_an_optimizer_schedule_or_augmentation_that_breaks_its_contract_is_named(
    site: Site, tmp_path: Path, words: str, message: str
) -> None:
    site.install("odd", ODD_PLUGIN)
    (site.path / "odd_parts.py").write_text(ODD_PARTS)
    registry.cache_clear()
    start = ["train", "trial/dot", "--data", "trial/bands:train=4,valid=2", "--size", "8", "--batch", "2"]
    status, _, err = call(
        *start, "--epochs", "2", "--device", "cpu", "-q", *words.split(), "--out", str(tmp_path / "r")
    )
    registry.cache_clear()
    assert status == 2
    assert err.startswith(f"segreg: {message}")
    assert err.count("\n") == 1
