"""timm's optimizers by name: what timm itself makes of them, and runs that resume exactly."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import segreg
from segreg.compat import patch_torchvision
from segreg.errors import OptionError
from segreg.training.fit import resume

patch_torchvision()

import timm.optim  # noqa: E402

NAMES = sorted(
    entry.key.removeprefix("timm/") for entry in segreg.components("optimizer") if entry.key.startswith("timm/")
)
every = pytest.mark.parametrize("name", NAMES)
TIMING = {"seconds", "images_per_second"}


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))


def train(built: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        built(torch.randn(2, 3, 6, 6, generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def weights(built: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(built.parameters())


def test_names() -> None:
    assert len(NAMES) >= 16
    assert {"adamp", "adan", "lamb", "lars", "lion", "madgrad", "nadamw", "radam"} <= set(NAMES)


def test_they_are_listed_without_torch_and_timm() -> None:
    code = (
        "import sys, segreg; names = [each.key for each in segreg.components('optimizer')]; "
        "print('timm/lamb' in names, sorted({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout == "True []\n"


@every
def test_is_timms(name: str) -> None:
    own, peer = model(), model()
    optimizer = segreg.optimizer(f"timm/{name}", own.parameters())
    # Its own weight decay, and Muon's momentum, which timm's factory otherwise sets to 0 and 0.9.
    decay = optimizer.defaults["weight_decay"]
    own_values = {"weight_decay": decay, **({"momentum": 0.95} if name == "muon" else {})}
    theirs = timm.optim.create_optimizer_v2(list(peer.parameters()), name, **own_values)
    assert optimizer.defaults == theirs.defaults
    kind = timm.optim.get_optimizer_class(name, bind_defaults=False)
    assert kind([nn.Parameter(torch.ones(2))], lr=1.0).defaults["weight_decay"] == decay
    for each, built in ((optimizer, own), (theirs, peer)):
        before = weights(built)
        train(built, each, 4, seed=1)
        assert not torch.equal(weights(built), before)
    assert torch.equal(weights(own), weights(peer))


@every
def test_options_reach_timm_and_groups_keep_theirs(name: str) -> None:
    own, peer = model(), model()
    options: dict[str, Any] = {"lr": 0.003, "weight_decay": 0.05}
    if "momentum" in segreg.optimizer(f"timm/{name}", own.parameters()).defaults:
        options["momentum"] = 0.8
    elif name == "adan":
        options["betas"] = (0.9, 0.8, 0.7)
    else:
        options["betas"] = (0.8, 0.95)

    def groups(built: Any) -> list[dict[str, Any]]:
        return [{"params": [*built[0].parameters()], "lr": 0.01}, {"params": [*built[1:].parameters()]}]

    optimizer = segreg.optimizer(f"timm/{name}", groups(own), **options)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.003]
    theirs = timm.optim.create_optimizer_v2(groups(peer), name, **options)
    train(own, optimizer, 3, seed=1)
    train(peer, theirs, 3, seed=1)
    assert torch.equal(weights(own), weights(peer))


@every
def test_a_restored_state_continues_exactly(name: str) -> None:
    whole, broken = model(), model()
    train(whole, optimizer := segreg.optimizer(f"timm/{name}", whole.parameters()), 3, seed=1)
    train(whole, optimizer, 3, seed=2)
    train(broken, optimizer := segreg.optimizer(f"timm/{name}", broken.parameters()), 3, seed=1)
    restored = segreg.optimizer(f"timm/{name}", broken.parameters())
    restored.load_state_dict(optimizer.state_dict())
    train(broken, restored, 3, seed=2)
    assert torch.equal(weights(whole), weights(broken))


@pytest.mark.parametrize("optimizer", ["timm/lamb", "timm/lion:lr=0.001", "timm/muon"])
def test_a_stopped_run_ends_the_same(optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {
        "loss": "dice",
        "data": "lesions:size=32,train=5,valid=2,test=2",
        "size": 32,
        "epochs": 2,
        "batch": 2,
        "optimizer": optimizer,
        "device": "cpu",
        "quiet": True,
    }
    narrow = "unet:width=4,depth=2"
    whole = segreg.fit(narrow, **settings, out=tmp_path / "whole")
    kind = type(segreg.optimizer(optimizer, [nn.Parameter(torch.ones(1, 1))]))
    step, steps = kind.step, []

    def breaking(self: Any, *arguments: Any) -> Any:
        # One step is that of the check before there are data.
        if len(steps) == 5:
            raise KeyboardInterrupt
        steps.append(None)
        return step(self, *arguments)

    monkeypatch.setattr(kind, "step", breaking)
    with pytest.raises(KeyboardInterrupt):
        segreg.fit(narrow, **settings, checkpoint_every=2, out=tmp_path / "broken")
    monkeypatch.undo()
    resumed = resume(tmp_path / "broken", quiet=True)
    for row, other in zip(resumed.history, whole.history, strict=True):
        assert {name: row[name] for name in row.keys() - TIMING} == {name: other[name] for name in row.keys() - TIMING}
    ends = [load_file(run.path / "model.safetensors") for run in (resumed, whole)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[1])


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("lamb:lr=0", "lr is 0.0: expected a finite number above 0"),
        ("lamb:betas=[0.9,1]", r"betas is \(0.9, 1.0\): expected 2 numbers, 0 or more and below 1"),
        ("adan:betas=[0.9,1,-1]", r"betas is \(0.9, 1.0, -1.0\): expected 3 numbers, 0 or more and below 1"),
        ("lars:momentum=1", "momentum is 1.0: expected a number, 0 or more and below 1"),
        ("sgdw:momentum=0", "momentum is 0.0: expected a number above 0 and below 1"),
        ("madgrad:weight_decay=-1", "weight_decay is -1.0: expected a finite number, 0 or more"),
        ("lion:eps=1", "timm/lion has no option 'eps'"),
    ],
)
def test_bad_options_are_refused(expression: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        segreg.optimizer(f"timm/{expression}", model().parameters())
