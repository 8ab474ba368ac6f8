"""More plugins than anyone has."""

from pathlib import Path

from tests.end_to_end.environment import write_wheel

COMPONENTS = 10

_HOOKS = f'''
"""A plugin of {COMPONENTS} models."""

from segreg import Architecture, hookimpl


@hookimpl
def segreg_architectures():
    """Declare the models."""
    return [
        Architecture(
            name=f"model-{{number}}",
            target=f"{{__package__}}.models:Model",
            summary="A model with a summary as long as they are",
            options={{"width": number + 1}},
            reference="Somebody et al., A Model, 2026, arXiv:2601.00001",
            aliases=(f"m{{number}}",),
        )
        for number in range({COMPONENTS})
    ]
'''
_MODELS = "from segreg.builtins.architectures.unet import UNet as Model\n"


def write_many(folder: Path, count: int) -> list[Path]:
    """Write the wheels of the distributions `plugin-0`, `plugin-1` and so on."""
    return [
        write_wheel(
            folder,
            f"plugin-{number}",
            {
                f"plugin_{number}/__init__.py": "",
                f"plugin_{number}/hooks.py": _HOOKS,
                f"plugin_{number}/models.py": _MODELS,
            },
            namespace=f"plugin-{number}",
            value=f"plugin_{number}.hooks",
        )
        for number in range(count)
    ]
