"""A trained model as a folder of the form that model hubs have, and one from such a folder or the Hugging Face Hub."""

import json
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from torch import nn

from segreg.errors import OptionError, RunError, SegregError
from segreg.expression import Expression
from segreg.runs.model_file import About
from segreg.runs.run import Run
from segreg.support.files import write_text, writing
from segreg.support.markdown import code

WEIGHTS, _CONFIG, _CARD = "model.safetensors", "config.json", "README.md"


def save(directory: Path, network: nn.Module, about: About, run: Run | None, force: bool, name: str = "") -> None:
    """Write weights, what is in them, and a model card.

    Args:
        directory: It is made where it does not exist.
        network: The model without the normalisation of its input, whose weights are written.
        about: What the weights say of the model.
        run: The finished run that it came from, if that is known.
        force: Write over weights that are there; a model card that is there is kept in any case.
        name: What the model card calls the model; by default as the directory.

    Raises:
        RunError: there are weights already, or the directory cannot be written to, or the run cannot be read.
    """
    present = [file for file in (WEIGHTS, _CONFIG) if (directory / file).exists()]
    if present and not force:
        raise RunError(
            f"{directory} already holds {' and '.join(present)}: choose another directory, or pass force=True"
        )
    card = _card(name or directory.resolve().name, about, run)
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    said = attrs.asdict(about)
    Run(directory).write_model({key: tensor.cpu() for key, tensor in network.state_dict().items()}, said)
    write_text(directory / _CONFIG, json.dumps(said, indent=2) + "\n")
    if not (directory / _CARD).exists():
        write_text(directory / _CARD, card)


def fetch(repository: str, revision: str | None, token: str | None) -> Path:
    """Return the weights of a repository of the Hub, and nothing else from there.

    Raises:
        OptionError: huggingface_hub is not installed.
        RunError: they cannot be fetched.
    """
    with _hub(f"{repository} is no folder here, and cannot be fetched from the Hugging Face Hub") as hub:
        return Path(hub.hf_hub_download(repository, WEIGHTS, revision=revision, token=token))


def push(
    repository: str, network: nn.Module, about: About, run: Run | None, private: bool | None, token: str | None
) -> str:
    """Save the model in a repository of the Hub, in one commit, and return the address of the commit.

    Raises:
        OptionError: huggingface_hub is not installed.
        RunError: the Hub does not take it.
    """
    with (
        _hub(f"{repository} cannot be written to the Hugging Face Hub") as hub,
        tempfile.TemporaryDirectory() as folder,
    ):
        save(Path(folder), network, about, run, force=False, name=repository)
        api = hub.HfApi(token=token)
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        # Somebody may have written more into it than is known here, such as the licence.
        kept = [_CARD] if api.file_exists(name, _CARD) else None
        commit = api.upload_folder(
            repo_id=name, folder_path=folder, ignore_patterns=kept, commit_message="Save a model with segreg"
        )
        return str(commit)


@contextmanager
def _hub(trouble: str) -> Iterator[Any]:
    try:
        import huggingface_hub
    except ImportError as error:
        raise OptionError(f"{trouble} without huggingface_hub: pip install huggingface_hub") from error
    try:
        yield huggingface_hub
    except SegregError:
        raise
    # Its own errors, and those of whatever it speaks HTTP with.
    except Exception as error:
        raise RunError(f"{trouble}: {textwrap.shorten(str(error), 300, placeholder=' …')}") from error


def _card(name: str, about: About, run: Run | None) -> str:
    height, width = about.size
    facts = {
        "architecture": str(Expression(about.architecture, about.options)),
        "classes": ", ".join(about.classes),
        "size of training": f"{height}×{width}",
        "plugin": about.plugin,
    }
    scores = ""
    if run:
        recipe = run.recipe
        facts |= {"data": recipe.data, "loss": recipe.loss, "epochs": str(recipe.epochs), "seed": str(recipe.seed)}
        scores = _scores(run)
    about_it = "\n".join(f"- {what}: {code(value)}" for what, value in facts.items())
    return f"""---
library_name: segreg
pipeline_tag: image-segmentation
tags:
- segreg
- image-segmentation
---

# {code(name)}

A segmentation model, trained with segreg {code(about.segreg)}.

{about_it}

## Use

It takes segreg, `huggingface_hub`, and the plugin named above.

```python
import segreg

predictor = segreg.Predictor.from_pretrained({json.dumps(name)})
mask = predictor.predict("image.jpg")
```

`model.safetensors` is all that is read; `config.json` repeats for people what it says of itself.
{scores}
## Licence

Not stated yet. Write it here and as `license:` at the top of this file; the data that it was trained on have terms too.
"""


def _scores(run: Run) -> str:
    # Only a model card needs the libraries of statistics.
    from segreg.scoring.estimates import estimates

    found = estimates(run.recipe, [run])
    metrics = list(dict.fromkeys(metric for metric, _ in found))
    splits = list(dict.fromkeys(split for _, split in found))
    lines = [
        f"| {metric} | {' | '.join(str(found[metric, split]) for split in splits)} |" for metric in map(str, metrics)
    ]
    return f"""
## Scores

With 95 % bootstrap intervals over images. The weights are those of the epoch that was best on `valid`, which flatters
that split.

| | {" | ".join(splits)} |
|---|{"---|" * len(splits)}
{chr(10).join(lines)}
"""
