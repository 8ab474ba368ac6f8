"""The weights that a run begins with, from another run or from a safetensors file."""

from collections.abc import Mapping

import attrs
import torch
from torch import Tensor, nn

from segreg.errors import OptionError, RunError, counted
from segreg.recipe import Recipe
from segreg.runs.locate import weights_of
from segreg.runs.run import Run
from segreg.runs.tensor_file import digest_of, read_any_tensors
from segreg.specs import Architecture
from segreg.support.progress import Display
from segreg.training.checkpoint import checkpoint_path
from segreg.training.parts import shapes_of

_PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar")
_LISTED = 8


@attrs.frozen(eq=False)
class InitialWeights:
    """Weights from a file.

    Args:
        source: The run or the file, as the recipe names it.
        tensors: The tensors by name.
    """

    source: str
    tensors: Mapping[str, Tensor]

    @property
    def record(self) -> dict[str, str]:
        """What a run writes down about them."""
        return {"source": self.source, "digest": digest_of(self.tensors)}

    def fit_in(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the tensors that a model has under the same name with the same shape.

        Raises:
            OptionError: no parameter of the model is among them.
        """
        own = model.state_dict()
        fitting = {
            name: tensor for name, tensor in self.tensors.items() if name in own and _form(tensor) == _form(own[name])
        }
        parameters = dict(model.named_parameters())
        if not fitting.keys() & parameters.keys():
            ours, theirs = (_first(tensors) for tensors in (parameters, self.tensors))
            raise OptionError(
                f"init is {self.source}, whose weights are of another architecture: no name and shape is one of this "
                f"model's; the first of the model is {ours}, that of the file {theirs}"
            )
        return fitting

    @torch.no_grad()
    def load_into(self, model: nn.Module, display: Display) -> None:
        """Set the weights of a model that fit, and say in one line how many, and which ones were not taken.

        Raises:
            OptionError: as for `fit_in`.
        """
        own, fitting = model.state_dict(), self.fit_in(model)
        for name, tensor in fitting.items():
            own[name].copy_(tensor)
        line = f"init: {len(fitting)} of {counted(len(own), 'tensor')} taken from {self.source}"
        unused = len(self.tensors.keys() - own.keys())
        line += f", which has {counted(unused, 'tensor')} more" if unused else ""
        if len(fitting) == len(own):
            display.line(line)
            return
        missing = [f"{name} {list(own[name].shape)}" for name in own if name not in fitting]
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        display.note(f"{line}; not taken, and as they would be without it: {', '.join(missing[:_LISTED])}{more}")


def read_initial_weights(recipe: Recipe, run: Run) -> InitialWeights | None:
    """Read the weights that a recipe begins with; None if it names none, or the run resumes from a checkpoint.

    Raises:
        RunError: the file is missing, not in the format of safetensors, or damaged.
    """
    if recipe.init is None or checkpoint_path(run).exists():
        return None
    path = weights_of(recipe.init)
    try:
        tensors = read_any_tensors(path, "a safetensors file")
    except RunError as error:
        if path.suffix.lower() in _PICKLED:
            raise RunError(
                f"{path} holds pickled objects, which can run code when they are read: convert it once, with "
                "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW_FILE)"
            ) from error
        raise
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise RunError(f"{path} cannot be used as init: its tensor {name} has values that are not finite")
    return InitialWeights(recipe.init, tensors)


def check_initial_weights(recipe: Recipe, run: Run) -> None:
    """Check that a recipe's initial weights can be read and belong to its model, before any image is read.

    What depends on the data is left to the trainer: their channels and classes decide which shapes fit.

    Raises:
        RunError: as for `read_initial_weights`.
        OptionError: they are of another architecture.
    """
    weights = read_initial_weights(recipe, run)
    model = shapes_of(recipe) if weights else None
    if weights and model and not weights.tensors.keys() & dict(model.named_parameters()).keys():
        weights.fit_in(model)


def random_and_frozen(recipe: Recipe, model: nn.Module, initial: InitialWeights | None) -> str:
    """Say which parts of a new run are frozen at random values, which nobody wants; empty if none is."""
    [architecture] = recipe.components["architecture"]
    record = architecture.entry.record
    options = record.pretrained_options if isinstance(record, Architecture) else ()
    if not recipe.freeze or any(architecture.options.get(option) for option in options):
        return ""
    taken = initial.fit_in(model) if initial else {}
    random = [name for name, parameter in model.named_parameters() if not parameter.requires_grad and name not in taken]
    if not random:
        return ""
    tensors = counted(len(random), "tensor")
    return (
        f"freeze keeps {tensors} at random values, such as {random[0]}: begin with trained ones, by init "
        "or a pretrained model"
    )


def _first(tensors: Mapping[str, Tensor]) -> str:
    return next((f"{name} {list(tensors[name].shape)}" for name in sorted(tensors)), "none")


def _form(tensor: Tensor) -> tuple[torch.Size, bool]:
    return tensor.shape, tensor.is_floating_point()
