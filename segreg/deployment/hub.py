"""A trained model as a folder in the layout of model hubs, and loaded from such a folder or the Hugging Face Hub."""

import json
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from torch import nn

from segreg.compat import unreachable_hub_skipped
from segreg.errors import OptionError, RunError, SegregError
from segreg.expression import Expression
from segreg.runs.model_file import About
from segreg.runs.run import Run
from segreg.support.files import write_text, writing
from segreg.support.markdown import code

WEIGHTS, _CONFIG, _CARD = "model.safetensors", "config.json", "README.md"


def save(directory: Path, network: nn.Module, about: About, run: Run | None, force: bool, name: str = "") -> None:
    """Write weights, their metadata, and a model card.

    Args:
        directory: Created if it does not exist.
        network: The model without input normalisation, whose weights are written.
        about: The metadata of the model.
        run: The finished run that it came from, if known.
        force: Overwrite existing weights; an existing model card is kept in any case.
        name: Name of the model in the model card; by default that of the directory.

    Raises:
        RunError: the directory already holds weights or cannot be written to, or the run cannot be read.
    """
    present = [file for file in (WEIGHTS, _CONFIG) if (directory / file).exists()]
    if present and not force:
        raise RunError(
            f"{directory} already holds {' and '.join(present)}: choose another directory, or pass force=True"
        )
    card = _card(name or directory.resolve().name, about, run)
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    metadata = attrs.asdict(about)
    Run(directory).write_model({key: tensor.cpu() for key, tensor in network.state_dict().items()}, metadata)
    write_text(directory / _CONFIG, json.dumps(metadata, indent=2) + "\n")
    if not (directory / _CARD).exists():
        write_text(directory / _CARD, card)


def fetch(repository: str, revision: str | None, token: str | None) -> Path:
    """Fetch the weights of a repository on the Hub, and nothing else.

    Raises:
        OptionError: huggingface_hub is not installed.
        RunError: they cannot be fetched.
    """
    trouble = f"{repository} is not a local folder, and cannot be fetched from the Hugging Face Hub"
    with _hub(trouble) as hub, unreachable_hub_skipped():
        return Path(hub.hf_hub_download(repository, WEIGHTS, revision=revision, token=token))


def push(
    repository: str, network: nn.Module, about: About, run: Run | None, private: bool | None, token: str | None
) -> str:
    """Save the model in a repository on the Hub, in one commit, and return the URL of the commit.

    Raises:
        OptionError: huggingface_hub is not installed.
        RunError: the Hub refuses it.
    """
    with (
        _hub(f"{repository} cannot be written to the Hugging Face Hub") as hub,
        tempfile.TemporaryDirectory() as folder,
    ):
        save(Path(folder), network, about, run, force=False, name=repository)
        api = hub.HfApi(token=token)
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        # Somebody may have added to it, such as the licence.
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
    # Its own errors, and those of its HTTP library.
    except Exception as error:
        raise RunError(f"{trouble}: {textwrap.shorten(str(error), 300, placeholder=' …')}") from error


def _card(name: str, about: About, run: Run | None) -> str:
    height, width = about.size
    facts = {
        "architecture": str(Expression(about.architecture, about.options)),
        "classes": ", ".join(about.classes),
        "training size": f"{height}×{width}",
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

This needs segreg, `huggingface_hub`, and the plugin named above.

```python
import segreg

predictor = segreg.Predictor.from_pretrained({json.dumps(name)})
mask = predictor.predict("image.jpg")
```

Only `model.safetensors` is read; `config.json` repeats its metadata in readable form.
{scores}
## Licence

Not stated yet. Write it here and as `license:` at the top of this file; the training data have terms too.
"""


def _scores(run: Run) -> str:
    # Only a model card needs the statistics libraries.
    from segreg.scoring.estimates import estimates

    found = estimates(run.recipe, [run])
    metrics = list(dict.fromkeys(metric for metric, _ in found))
    splits = list(dict.fromkeys(split for _, split in found))
    lines = [
        f"| {metric} | {' | '.join(str(found[metric, split]) for split in splits)} |" for metric in map(str, metrics)
    ]
    return f"""
## Scores

With 95 % bootstrap intervals over images. The weights are those of the epoch that was best on `valid`, which makes
its scores slightly optimistic.

| | {" | ".join(splits)} |
|---|{"---|" * len(splits)}
{chr(10).join(lines)}
"""
