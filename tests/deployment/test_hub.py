"""A model in a folder as on model hubs: what is in it, what is read from it, and what is kept."""

import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

import segreg
from segreg import OptionError, RunError
from tests.hostile.runs import pickled


def load(run: segreg.Run) -> segreg.Predictor:
    return segreg.load(run, device="cpu", precision="fp32")


def test_a_model_is_loaded_back_from_a_folder(run: segreg.Run, photograph: Path, tmp_path: Path) -> None:
    before = load(run)
    before.save_pretrained(tmp_path / "lesions")
    assert sorted(path.name for path in (tmp_path / "lesions").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    after = segreg.Predictor.from_pretrained(tmp_path / "lesions", device="cpu", precision="fp32")
    np.testing.assert_array_equal(after.predict(photograph), before.predict(photograph))
    assert after.about == before.about
    # The file alone suffices.
    alone = tmp_path / "elsewhere.safetensors"
    (tmp_path / "lesions" / "model.safetensors").rename(alone)
    np.testing.assert_array_equal(
        segreg.load(alone, device="cpu").predict(photograph), segreg.load(run, device="cpu").predict(photograph)
    )
    config = json.loads((tmp_path / "lesions" / "config.json").read_text())
    assert config["options"]["width"] == 4
    assert config["size"] == [48, 48]


def test_the_card_has_the_data_and_the_scores(run: segreg.Run, tmp_path: Path) -> None:
    load(run).save_pretrained(tmp_path / "lesions")
    card = huggingface_hub.ModelCard.load(tmp_path / "lesions" / "README.md")
    assert card.data.library_name == "segreg"
    assert card.data.pipeline_tag == "image-segmentation"
    assert card.data.license is None
    assert "- data: `lesions:train=16,valid=4,test=6`" in card.text
    assert 'segreg.Predictor.from_pretrained("lesions")' in card.text
    found = run.results["metrics"]["test"]["iou"]
    [line] = [line for line in card.text.splitlines() if line.startswith("| iou ")]
    assert f"{found:.3f} [" in line
    # For weights alone the scores are unknown.
    (tmp_path / "model.safetensors").write_bytes((run.path / "model.safetensors").read_bytes())
    segreg.load(tmp_path / "model.safetensors", device="cpu").save_pretrained(tmp_path / "alone")
    assert "Scores" not in (tmp_path / "alone" / "README.md").read_text()


def test_nothing_is_overwritten_without_force(run: segreg.Run, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("mine")
    (tmp_path / "README.md").write_text("my words")
    with pytest.raises(
        RunError, match=r"already holds model.safetensors: choose another directory, or pass force=True"
    ):
        load(run).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "model.safetensors"]
    load(run).save_pretrained(tmp_path, force=True)
    assert (tmp_path / "README.md").read_text() == "my words"
    assert segreg.Predictor.from_pretrained(tmp_path, device="cpu").about.classes == ("lesion",)


def test_names_in_a_card_are_escaped(run: segreg.Run, tmp_path: Path) -> None:
    with safe_open(run.path / "model.safetensors", "pt") as file:
        metadata = file.metadata()["segreg"]
    about = json.loads(metadata) | {"classes": ["`<script>alert(1)</script>\n# head"]}
    segreg.Run(tmp_path).write_model(load_file(run.path / "model.safetensors"), about)
    segreg.load(tmp_path / "model.safetensors", device="cpu").save_pretrained(tmp_path / "card")
    text = (tmp_path / "card" / "README.md").read_text()
    assert "- classes: `'<script>alert(1)</script>'# head`\n" in text


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """Repository `somebody/lesions` of a hub on this machine: its files, and those that were requested."""
    files: dict[str, bytes] = {}
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("/somebody/lesions/resolve/main/")[2]
            # Whether the hub answers at all, and what huggingface_hub asks for itself, does not count.
            asked.extend([name] if "/somebody/lesions/" in self.path else [])
            found = name in files
            self.send_response(200 if found else 404)
            content = files.get(name, b"")
            if found:
                self.send_header("ETag", hashlib.sha1(content).hexdigest())
                self.send_header("X-Repo-Commit", "0" * 40)
            else:
                self.send_header(
                    "X-Error-Code", "EntryNotFound" if "/somebody/lesions" in self.path else "RepoNotFound"
                )
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    # Read from the environment when huggingface_hub is imported.
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield files
    server.shutdown()
    server.server_close()
    assert set(asked) <= {"model.safetensors"}


def test_weights_and_nothing_else_come_from_the_hub(
    run: segreg.Run, hub: dict[str, bytes], photograph: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "executed"
    hub["model.safetensors"] = (run.path / "model.safetensors").read_bytes()
    hub["config.json"] = b'{"architecture": "trial/other"}'
    hub["pytorch_model.bin"] = hub["checkpoint/checkpoint.pt"] = pickled(mark)
    predictor = segreg.Predictor.from_pretrained("somebody/lesions", device="cpu", precision="fp32")
    np.testing.assert_array_equal(predictor.predict(photograph), load(run).predict(photograph))
    assert not mark.exists()


def test_a_hub_that_is_not_reached_is_reported_at_once(hub: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", closed)
    started = time.monotonic()
    with pytest.raises(
        RunError, match=r"^somebody/lesions is not a local folder, and cannot be fetched from the Hugging"
    ):
        segreg.Predictor.from_pretrained("somebody/lesions")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_harmful_or_empty_repository_is_refused_in_one_line(
    content: bytes | None, hub: dict[str, bytes], tmp_path: Path
) -> None:
    mark = tmp_path / "executed"
    hub["pytorch_model.bin"] = pickled(mark)
    if content is not None:
        hub["model.safetensors"] = content or pickled(mark)
    with pytest.raises(RunError) as caught:
        segreg.Predictor.from_pretrained("somebody/lesions")
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_an_invalid_repository_name_is_refused() -> None:
    with pytest.raises(
        RunError, match=r"^runs/mine/no/where is not a local folder, and cannot be fetched from the Hugging"
    ):
        segreg.Predictor.from_pretrained("runs/mine/no/where")


def test_the_library_is_required_only_where_it_is_needed(
    run: segreg.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    predictor = load(run)
    predictor.save_pretrained(tmp_path / "lesions")
    segreg.Predictor.from_pretrained(tmp_path / "lesions", device="cpu")
    with pytest.raises(OptionError, match=r"pip install huggingface_hub"):
        predictor.push_to_hub("somebody/lesions")
    with pytest.raises(OptionError, match=r"somebody/lesions is not a local folder.*pip install huggingface_hub"):
        segreg.Predictor.from_pretrained("somebody/lesions")


@pytest.mark.parametrize("present", [False, True])
def test_what_is_pushed(run: segreg.Run, present: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to the folder is up to huggingface_hub."""
    pushed: dict[str, str] = {}

    class Api:
        def __init__(self, token: str | None) -> None:
            assert token == "mine"

        def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> SimpleNamespace:
            assert private
            assert exist_ok
            return SimpleNamespace(repo_id=repo_id)

        def file_exists(self, repo_id: str, filename: str) -> bool:
            return present and filename == "README.md"

        def upload_folder(
            self, *, repo_id: str, folder_path: str, ignore_patterns: list[str] | None, commit_message: str
        ) -> str:
            kept = huggingface_hub.utils.filter_repo_objects(
                [path.name for path in Path(folder_path).iterdir()], ignore_patterns=ignore_patterns
            )
            pushed.update({name: (Path(folder_path) / name).read_text(errors="replace") for name in kept})
            return f"{repo_id}: {commit_message}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    message = load(run).push_to_hub("somebody/lesions", private=True, token="mine")
    assert message == "somebody/lesions: Save a model with segreg"
    assert set(pushed) == {"model.safetensors", "config.json"} | (set() if present else {"README.md"})
    assert present or 'from_pretrained("somebody/lesions")' in pushed["README.md"]
