"""A prediction and a training step of every built-in architecture: segreg's way next to a plain float32 loop."""

from typing import Any

import pytest

import segreg
from segreg.bench.timing import Workload, runner
from segreg.support.device import detect, keep_freed_memory

NAMES = [entry.key for entry in segreg.components("architecture") if entry.plugin.distribution == "segreg"]


@pytest.mark.parametrize("how", ["segreg", "plain fp32"])
@pytest.mark.parametrize("what", ["prediction", "training"])
@pytest.mark.parametrize("name", NAMES)
def test_model(name: str, what: str, how: Any, benchmark: Any) -> None:
    benchmark.group = f"{what} of {name}, 4 images of 128x128"
    keep_freed_memory()
    run = runner(Workload(model=name, how=how, training=what == "training", batch=4, size=128, device=detect()))
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
