"""The state of a run, written to a checkpoint and restored."""

from pathlib import Path

import torch
from torch import nn

from segreg.nn.ema import EMA
from segreg.nn.normalized import Normalized
from segreg.runs.run import Run
from segreg.training.checkpoint import Checkpoints, load_checkpoint, remove_checkpoint
from segreg.training.state import Epoch, State
from segreg.training.state_dict import restore


def state(seed: int) -> State:
    torch.manual_seed(seed)
    model = Normalized(nn.Conv2d(3, 1, 1), "none")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    return State(model=model, loss=nn.Identity(), optimizer=optimizer, ema=EMA(model))


def step(trained: State) -> None:
    trained.model(torch.ones(1, 3, 2, 2)).sum().backward()
    trained.optimizer.step()
    trained.optimizer.zero_grad()
    assert trained.ema
    trained.ema.update(trained.model)
    trained.history.append({"epoch": len(trained.history) + 1, "valid_iou": 0.5})


def weights(trained: State) -> list[list[float]]:
    assert trained.ema
    models = (trained.model, trained.ema.model)
    return [tensor.flatten().tolist() for model in models for tensor in model.state_dict().values()]


def write(run: Run, trained: State) -> Checkpoints:
    """Offer a state until it is written."""
    (run.path / "checkpoint").mkdir()
    checkpoints = Checkpoints(run, {}, {})
    while load_checkpoint(run) is None:
        checkpoints.offer(trained)
    return checkpoints


def test_training_from_a_checkpoint_continues_identically(tmp_path: Path) -> None:
    unbroken = state(0)
    for _ in range(5):
        step(unbroken)
    unbroken.keep_best(0.5)
    write(Run(tmp_path), unbroken)
    other = state(1)
    restore(other, load_checkpoint(Run(tmp_path)) or {}, torch.optim.AdamW, Epoch(lr=0.0, losses=torch.zeros(1)))
    assert (other.best, other.best_epoch, other.history) == (0.5, 5, unbroken.history)
    assert all(torch.equal(other.best_weights[name], tensor) for name, tensor in unbroken.best_weights.items())
    for trained in (unbroken, other):
        step(trained)
        step(trained)
    assert weights(other) == weights(unbroken)


def test_the_best_weights_are_a_copy_of_the_average() -> None:
    trained = state(0)
    step(trained)
    trained.keep_best(0.5)
    assert trained.ema
    before = trained.ema.model.model.weight.clone()
    step(trained)
    assert torch.equal(trained.best_weights["weight"], before)
    assert not torch.equal(trained.ema.model.model.weight, before)


def test_a_checkpoint_is_not_written_again_while_the_last_one_is_recent(tmp_path: Path) -> None:
    trained = state(0)
    step(trained)
    trained.keep_best(0.5)
    checkpoints = write(Run(tmp_path), trained)
    # Writing took longer than a twentieth of the time since then.
    step(trained)
    checkpoints.offer(trained)
    assert len((load_checkpoint(Run(tmp_path)) or {})["history"]) == 1


def test_without_best_weights_no_file_is_written(tmp_path: Path) -> None:
    Checkpoints(Run(tmp_path), {}, {}).write_best(state(0))
    assert list(tmp_path.iterdir()) == []


def test_a_removed_checkpoint_is_gone(tmp_path: Path) -> None:
    assert load_checkpoint(Run(tmp_path)) is None
    write(Run(tmp_path), state(0))
    remove_checkpoint(Run(tmp_path))
    assert list(tmp_path.iterdir()) == []
