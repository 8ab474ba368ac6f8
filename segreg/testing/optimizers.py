"""The conformance checks of an optimizer: built from parameters or groups of them, and called with `step()` alone."""

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from segreg.nn.normalized import Normalized
from segreg.support.randomness import random_state, restore_random_state
from segreg.testing.components import REFERENCE
from segreg.testing.process import expect_no_global_change, expect_seeded
from segreg.testing.subject import Check, CheckFailed, ComponentSubject, expect, same_values
from segreg.training.state import Epoch, State
from segreg.training.state_dict import restore, to_dict

_CPU = torch.device("cpu")
# Optimizers that look back, or act every few steps, have done so by then.
_STEPS = 7
_MANY_STEPS = 100


def _model() -> nn.Module:
    """Return parameters of one, two and four dimensions."""
    generator = torch.Generator().manual_seed(0)
    model = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Linear(5, 4)])
    for parameter in model.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def _bowl(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return a quadratic function whose minimum is at 1, and which is four times as steep for some weights."""
    terms = ((each - 1).flatten() for each in parameters)
    values = torch.cat(list(terms))
    return (torch.linspace(0.25, 1, len(values)) * values.square()).sum()


def _step(optimizer: Any, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Take a step down the bowl, as a training does, and return the value before it."""
    value = _bowl(parameters)
    value.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    return value.detach()


def _weights(parameters: Sequence[nn.Parameter]) -> Tensor:
    return torch.cat([each.detach().flatten() for each in parameters])


def is_an_optimizer(subject: ComponentSubject) -> None:
    """It is a `torch.optim.Optimizer` of all parameters, from a list, a generator or groups with an `lr` of their own.

    Each group has an `lr`, which the schedule multiplies, and `zero_grad` clears the gradients.
    """
    parameters = list(_model().parameters())
    groups = [{"params": iter(parameters[:2])}, {"params": parameters[2:], "lr": 0.015625}]
    for what, given in (("a list", parameters), ("a generator", iter(parameters)), ("groups", groups)):
        optimizer = subject.build(given)
        expect(
            isinstance(optimizer, Optimizer), f"it is of type {type(optimizer).__name__}, not a torch.optim.Optimizer"
        )
        held = {id(each) for group in optimizer.param_groups for each in group["params"]}
        expect(held == {id(each) for each in parameters}, f"built from {what}, it does not hold the parameters given")
        for group in optimizer.param_groups:
            rate = group.get("lr")
            expect(
                isinstance(rate, int | float) and rate > 0, f"the lr of a group is {rate}: expected a number above 0"
            )
        _step(optimizer, parameters)
        cleared = all(each.grad is None or not each.grad.any() for each in parameters)
        expect(cleared, "zero_grad leaves gradients behind")
    rates = [group["lr"] for group in optimizer.param_groups]
    expect(0.015625 in rates, f"a group with an lr of 0.015625 gets {rates[-1]}")


def descends(subject: ComponentSubject) -> None:
    """With its default options, a hundred steps on a convex quadratic function make its value smaller."""
    parameters = list(_model().parameters())
    optimizer = subject.build(parameters)
    values = [float(_step(optimizer, parameters)) for _ in range(_MANY_STEPS)]
    after = float(_bowl(parameters).detach())
    expect(
        after < values[0], f"{_MANY_STEPS} steps on a quadratic function take it from {values[0]:.4g} to {after:.4g}"
    )


def learning_rate_is_followed(subject: ComponentSubject) -> None:
    """The `lr` of a group decides how far a step goes: not at all with 0, less with a tenth, and later steps too."""
    for before in (0, _STEPS):
        full, tenth, none = (_moved(subject, factor, before) for factor in (1, 0.1, 0))
        number = f"step {before + 1}"
        # Later steps may continue by momentum.
        expect(
            none <= (0.9 if before else 0.01) * full,
            f"with lr 0, {number} moves weights by {none:.3g}; with its own lr, by {full:.3g}",
        )
        expect(
            tenth <= (0.95 if before else 0.5) * full,
            f"with a tenth of its lr, {number} moves weights by {tenth:.3g}; with its own lr, by {full:.3g}",
        )


def _moved(subject: ComponentSubject, factor: float, before: int) -> float:
    """Return how far a step moves the weights with the learning rate times a factor, after steps with all of it."""
    parameters = list(_model().parameters())
    optimizer = subject.build(parameters)
    for _ in range(before):
        _step(optimizer, parameters)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * factor
    start = _weights(parameters)
    _step(optimizer, parameters)
    return float((_weights(parameters) - start).norm())


def resumes_where_it_stopped(subject: ComponentSubject) -> None:
    """Interrupted after seven steps, and restored from a checkpoint into a new one, it continues as it would have.

    A checkpoint holds the state dict, of which only tensors and plain values are read. What it keeps of a parameter
    has the same names, shapes and dtypes from the first step on, and what a step changes in a group is changed by the
    first step already; all else in a group comes from the options.
    """

    def begun() -> State:
        model = Normalized(_model(), "none")
        return State(model=model, loss=nn.Identity(), optimizer=subject.build(list(model.parameters())), ema=None)

    def weights_after(state: State, numbers: range) -> list[Tensor]:
        parameters = list(state.model.parameters())
        weights = []
        for number in numbers:
            for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate / (1 + number)
            _step(state.optimizer, parameters)
            weights.append(_weights(parameters))
        return weights

    state, other = begun(), begun()
    rates = [group["lr"] for group in state.optimizer.param_groups]
    weights_after(state, range(_STEPS))
    saved, generators = _through_a_file(to_dict(state)), random_state(_CPU)
    expected = weights_after(state, range(_STEPS, 2 * _STEPS))
    try:
        restore(other, saved, subject.build, Epoch(lr=0.0, losses=torch.zeros(1)))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckFailed(f"a checkpoint after {_STEPS} steps cannot be restored: {error}") from error
    restore_random_state(generators, _CPU)
    for number, (one, again) in enumerate(
        zip(expected, weights_after(other, range(_STEPS, 2 * _STEPS)), strict=True), _STEPS + 1
    ):
        expect(
            same_values(again, one),
            f"restored from a checkpoint after {_STEPS} steps, it does something else in step {number}: its state must "
            "be in its state dict, in the same form from the first step on",
        )


def _through_a_file(content: Any) -> Any:
    file = io.BytesIO()
    try:
        torch.save(content, file)
        file.seek(0)
        return torch.load(file, weights_only=True)
    # Python cannot write a function without a name, and torch's own message explains how to run what it read.
    except (pickle.PicklingError, pickle.UnpicklingError, AttributeError, TypeError):
        raise CheckFailed("its state dict has other objects than tensors and plain values") from None


def parameters_without_gradient_are_left_alone(subject: ComponentSubject) -> None:
    """Parameters that have no gradient, as those of a frozen part, do not change."""
    parameters = list(_model().parameters())
    frozen = parameters[0].requires_grad_(False)
    unused = parameters[2]
    before = [each.detach().clone() for each in (frozen, unused)]
    optimizer = subject.build(parameters)
    for _ in range(3):
        _step(optimizer, [parameters[1], parameters[3]])
    for each, kept in zip((frozen, unused), before, strict=True):
        expect(torch.equal(each, kept), "it changes a parameter that has no gradient")


def zero_gradients_stay_finite(subject: ComponentSubject) -> None:
    """Weights stay finite if all gradients are zero, and in a step after that."""
    parameters = list(_model().parameters())
    optimizer = subject.build(parameters)
    for _ in range(3):
        for each in parameters:
            each.grad = torch.zeros_like(each)
        optimizer.step()
    expect(_weights(parameters).isfinite().all(), "gradients of zero make weights that are not finite")
    _step(optimizer, parameters)
    expect(_weights(parameters).isfinite().all(), "a step after gradients of zero makes weights that are not finite")


def randomness_follows_the_seed(subject: ComponentSubject) -> None:
    """Built and used twice with one seed it gives the same; it never seeds a generator itself."""
    expect_seeded(_use_of(subject))


def global_state_is_not_modified(subject: ComponentSubject) -> None:
    """Building and using it changes nothing of the process: torch's settings, directory, environment, streams."""
    expect_no_global_change(_use_of(subject), may_draw=True)


def _use_of(subject: ComponentSubject) -> Callable[[], Iterator[tuple[str, Sequence[Tensor]]]]:
    # Initial weights are drawn by the check, and would otherwise be taken for the optimizer's doing.
    start = _model().state_dict()

    def use() -> Iterator[tuple[str, Sequence[Tensor]]]:
        parameters = [nn.Parameter(each.clone()) for each in start.values()]
        optimizer = subject.build(parameters)
        yield "building it", []
        for _ in range(3):
            _step(optimizer, parameters)
            yield "a step", [each.detach().clone() for each in parameters]

    return use


CHECKS = (
    REFERENCE,
    Check(is_an_optimizer),
    Check(descends),
    Check(learning_rate_is_followed),
    Check(resumes_where_it_stopped),
    Check(parameters_without_gradient_are_left_alone),
    Check(zero_gradients_stay_finite),
    Check(randomness_follows_the_seed),
    Check(global_state_is_not_modified),
)
