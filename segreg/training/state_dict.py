"""The state of a run as tensors and plain values, as a checkpoint holds it, and back, once all of it is checked."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from segreg.support.randomness import random_state, restore_random_state
from segreg.training.state import Epoch, State

_CPU = torch.device("cpu")


def to_dict(state: State) -> dict[str, Any]:
    """Return tensors and plain values from which `restore` rebuilds the same state."""
    return {
        "model": state.model.state_dict(),
        "loss": state.loss.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "ema": state.ema.state_dict() if state.ema else None,
        "history": [dict(record) for record in state.history],
        "epoch": attrs.asdict(state.epoch, recurse=False) if state.epoch else None,
        "best": state.best,
        "best_epoch": state.best_epoch,
        "best_weights": dict(state.best_weights),
    }


def restore(state: State, saved: Mapping[str, Any], optimizer: Callable[[Any], Optimizer], epoch: Epoch) -> None:
    """Load what `to_dict` returned into a new state of the same model and optimizer.

    Nothing is loaded before all of it is known to fit: a fused optimizer writes beyond moments of another shape.

    Args:
        state: The new state.
        saved: What was saved; it may come from anyone.
        optimizer: Builds the same optimizer from other parameters.
        epoch: An epoch as it is saved, for the form of its values.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: it belongs to another model or optimizer, or is damaged.
    """
    weights = state.evaluated.model.state_dict()
    ema = state.ema.state_dict() if state.ema and saved["ema"] else None
    _check("the model", saved["model"], state.model.state_dict())
    _check("the loss", saved["loss"], state.loss.state_dict())
    _check("ema", saved["ema"] if ema else None, ema)
    _check_history(saved["history"])
    best = {"best": 0.0, "best_epoch": 0, "best_weights": weights if saved["best_epoch"] else {}}
    _check("the best weights", {name: saved[name] for name in best}, best)
    if not 0 <= saved["best_epoch"] <= len(saved["history"]):
        raise ValueError(f"best_epoch is {saved['best_epoch']} of {len(saved['history'])} epochs")
    for name, tensor in {**saved["model"], **saved["best_weights"]}.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"the weights {name} are not finite")
    if saved["epoch"] is not None:
        _check_epoch(saved["epoch"], epoch)
    moments = _checked_moments(saved["optimizer"]["state"], state.optimizer, optimizer)
    counters = _checked_counters(saved["optimizer"]["param_groups"], state.optimizer, optimizer)

    state.model.load_state_dict(saved["model"])
    state.loss.load_state_dict(saved["loss"])
    # Learning rate and weight decay come from the recipe, which may have changed.
    groups = state.optimizer.state_dict()["param_groups"]
    groups = [{**group, **counted} for group, counted in zip(groups, counters, strict=True)]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    if state.ema and ema:
        state.ema.load_state_dict(saved["ema"])
    state.history = list(saved["history"])
    state.epoch = Epoch(**saved["epoch"]) if saved["epoch"] else None
    state.best, state.best_epoch, state.best_weights = saved["best"], saved["best_epoch"], saved["best_weights"]


def _check(what: str, saved: Any, expected: Any) -> None:
    """Raise `ValueError` unless a value has the form of another one: types, keys, shapes and dtypes."""
    if isinstance(expected, Tensor):
        _check_tensor(what, saved, expected.shape, expected.dtype)
    elif isinstance(expected, Mapping):
        if not isinstance(saved, Mapping) or saved.keys() != expected.keys():
            raise ValueError(f"{what}: its keys are not those of this model and recipe")
        for name, value in expected.items():
            _check(f"{what}: {name}", saved[name], value)
    elif isinstance(expected, list | tuple):
        if type(saved) is not type(expected) or len(saved) != len(expected):
            raise ValueError(f"{what}: expected {len(expected)} values")
        for one, other in zip(saved, expected, strict=True):
            _check(what, one, other)
    elif type(saved) is not type(expected):
        raise ValueError(f"{what} is of type {type(saved).__name__}: expected {type(expected).__name__}")


def _check_tensor(what: str, saved: Any, shape: torch.Size, dtype: torch.dtype) -> None:
    if not isinstance(saved, Tensor) or saved.layout != torch.strided or saved.device != _CPU:
        raise ValueError(f"{what} is not a dense tensor")
    if saved.shape != shape or saved.dtype != dtype:
        raise ValueError(f"{what} is {saved.dtype} {list(saved.shape)}: expected {dtype} {list(shape)}")


def _check_history(history: Any) -> None:
    if not isinstance(history, list):
        raise ValueError("the history is not a list of epochs")
    for number, record in enumerate(history, 1):
        if record.keys() != history[0].keys() or record["epoch"] != number:
            raise ValueError(f"the history has no record of epoch {number} with the columns of the others")
        if not all(isinstance(name, str) and isinstance(value, int | float) for name, value in record.items()):
            raise ValueError(f"the history has other values than numbers in epoch {number}")


def _check_epoch(saved: Any, expected: Epoch) -> None:
    form = attrs.asdict(expected, recurse=False)
    # Python's generator may or may not keep a second Gaussian value.
    gauss = saved["random"]["python"][2]
    if gauss is not None and not isinstance(gauss, float):
        raise ValueError("the state of Python's random number generator has another form")
    form["random"] = {**form["random"], "python": (*form["random"]["python"][:2], gauss)}
    _check("the epoch in progress", saved, form)
    if not 0 < saved["step"] < len(expected.losses):
        raise ValueError(f"it is at step {saved['step']} of {len(expected.losses)}")
    before = random_state(_CPU)
    try:
        restore_random_state(saved["random"], _CPU)
    finally:
        restore_random_state(before, _CPU)


def _checked_moments(saved: Any, optimizer: Optimizer, build: Callable[[Any], Optimizer]) -> dict[int, dict[str, Any]]:
    """Return what the optimizer keeps of each parameter, checked, and laid out in memory as the parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    forms: dict[tuple[torch.Size, torch.dtype], Mapping[str, Any]] = {}
    checked: dict[int, dict[str, Any]] = {}
    for index, values in saved.items():
        if type(index) is not int or not 0 <= index < len(parameters):
            raise ValueError("the optimizer: its keys are not those of this optimizer")
        parameter = parameters[index]
        kind = parameter.shape, parameter.dtype
        if kind not in forms:
            forms[kind] = _after_a_step(build, *kind).state[0]
        if values.keys() != forms[kind].keys():
            raise ValueError("the optimizer: its keys are not those of this optimizer")
        checked[index] = {}
        for name, value in values.items():
            _check(f"the optimizer's state of parameter {index}: {name}", value, forms[kind][name])
            moment = isinstance(value, Tensor) and value.shape == parameter.shape
            laid_out = torch.empty_like(parameter, dtype=value.dtype, device="cpu").copy_(value) if moment else value
            checked[index][name] = laid_out
    return checked


def _checked_counters(saved: Any, optimizer: Optimizer, build: Callable[[Any], Optimizer]) -> list[dict[str, Any]]:
    """Return what the optimizer itself keeps of each group of parameters, besides the options that it was given."""
    twin = _after_a_step(build, torch.Size((2, 3)), torch.float32)
    _check("the optimizer's groups", len(saved), len(optimizer.param_groups))
    counters = []
    for group in saved:
        counters.append({name: group[name] for name in twin.counters})
        _check("the optimizer's groups", counters[-1], twin.counters)
    return counters


@attrs.frozen
class _Twin:
    """What an optimizer keeps after one step: of its only parameter, by position, and of its only group."""

    state: Mapping[int, Mapping[str, Any]]
    counters: Mapping[str, Any]


def _after_a_step(build: Callable[[Any], Optimizer], shape: torch.Size, dtype: torch.dtype) -> _Twin:
    parameter = nn.Parameter(torch.zeros(shape, dtype=dtype))
    parameter.grad = torch.ones_like(parameter)
    optimizer = build([parameter])
    before = copy.deepcopy(optimizer.state_dict()["param_groups"][0])
    optimizer.step()
    after = optimizer.state_dict()
    changed = {name: value for name, value in after["param_groups"][0].items() if before.get(name) != value}
    return _Twin(after["state"] or {0: {}}, changed)
