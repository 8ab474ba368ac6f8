"""Weights of the backbone: from a file, for any number of channels and classes, or a one-line error."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import segreg
from segreg.errors import OptionError
from segreg.registry import registry
from segreg_timm.backbone import Backbone
from segreg_timm.create import timm


def random_images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def saved(path: Path, name: str, **options: Any) -> Any:
    """Write a file with the weights of timm's own model, all different from those of a new one, and return it."""
    torch.manual_seed(1)
    model = timm.create_model(name, **options).eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.02 * torch.rand_like(tensor))
    save_file(model.state_dict(), path)
    return model


def by_hand(resnet: Any, images: Tensor) -> list[Tensor]:
    features = [resnet.act1(resnet.bn1(resnet.conv1(images)))]
    below = resnet.maxpool(features[0])
    for stage in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        below = stage(below)
        features.append(below)
    return features


def test_the_features_are_those_of_timms_own_model(tmp_path: Path) -> None:
    own = saved(tmp_path / "weights.safetensors", "test_resnet")
    model = segreg.build("timm/unet:backbone=test_resnet", pretrained=tmp_path / "weights.safetensors").eval()
    images = random_images(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(model.encoder(images), by_hand(own, images))


@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3plus"])
@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "mobilenetv3_small_050", "hrnet_w18_small"])
def test_every_weight_that_is_kept_comes_from_the_file(tmp_path: Path, name: str, architecture: str) -> None:
    path = tmp_path / "weights.safetensors"
    saved(path, name)
    written = load_file(path)
    model = segreg.build(f"timm/{architecture}", backbone=name, pretrained=path)
    kept = model.encoder.model.state_dict()
    assert len(kept) > len(written) / 2
    for key, tensor in kept.items():
        torch.testing.assert_close(tensor, written[key], msg=key)


@pytest.mark.parametrize(("channels", "share"), [(1, 3), (6, 0.5)])
def test_weights_for_three_channels_serve_any_number(tmp_path: Path, channels: int, share: float) -> None:
    """timm sums the weights for one channel, and repeats them in proportion for more: grey stays grey."""
    path = tmp_path / "weights.safetensors"
    saved(path, "test_resnet")
    grey = random_images(1, 1, 64, 64)
    outputs = []
    for count in (3, channels):
        backbone = Backbone("test_resnet", pretrained=str(path), in_channels=count).eval()
        with torch.no_grad():
            outputs.append(backbone(grey.expand(-1, count, -1, -1)))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_a_file_may_have_other_classes(tmp_path: Path) -> None:
    own = saved(tmp_path / "weights.safetensors", "test_resnet", num_classes=7)
    backbone = Backbone("test_resnet", pretrained=str(tmp_path / "weights.safetensors"), in_channels=3)
    torch.testing.assert_close(backbone.model.conv1.state_dict(), own.conv1.state_dict())


@pytest.mark.parametrize("other", ["test_resnet", "resnet10t", "resnet34"])
def test_a_file_of_another_model_is_refused(tmp_path: Path, other: str) -> None:
    """One of them has all the weights and more, another lacks some."""
    path = tmp_path / "weights.safetensors"
    saved(path, other)
    with pytest.raises(OptionError) as caught:
        segreg.build("timm/unet:backbone=resnet18", pretrained=path)
    assert str(caught.value).startswith(f"timm/unet: pretrained is '{path}', which does not fit 'resnet18' (")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    saved(whole, "test_resnet")
    cut, pickled = tmp_path / "cut.safetensors", tmp_path / "pickled.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    torch.save(load_file(whole), pickled)
    for path, why in [
        (cut, "not a complete safetensors file"),
        (pickled, "not a complete safetensors file"),
        (tmp_path / "missing.safetensors", "the file does not exist"),
        (tmp_path / "weights.pth", "expected True, False or the path of a .safetensors file"),
    ]:
        with pytest.raises(OptionError, match=why) as caught:
            segreg.build("timm/fpn:backbone=test_resnet", pretrained=path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_without_a_hub_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OptionError, match=r"cannot fetch the weights of 'resnet18': give the path of a \.safetensors"):
        segreg.build("timm/unet:pretrained=true")


@pytest.fixture(params=["refuses", "is silent"])
def unreachable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub to which nothing can be connected, or which takes every question and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        monkeypatch.setattr("segreg.compat._SECONDS", 0.5)
        if request.param == "refuses":
            server.close()
        yield
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_hub_that_is_not_reached_is_reported_within_seconds(
    unreachable: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(OptionError, match=r"cannot fetch the weights of 'resnet18': give the path of a \.safetensors"):
        segreg.build("timm/unet:pretrained=true")
    assert time.monotonic() - started < 10


def test_without_a_hub_weights_come_from_its_cache(
    unreachable: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("1" * 40)
    (folder / "snapshots" / ("1" * 40)).mkdir(parents=True)
    own = saved(folder / "snapshots" / ("1" * 40) / "model.safetensors", "test_resnet")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    backbone = Backbone("test_resnet", pretrained=True, in_channels=3)
    torch.testing.assert_close(backbone.model.conv1.state_dict(), own.conv1.state_dict())


@pytest.mark.parametrize(
    ("written", "read"), [("true", True), ("false", False), ("a/b.safetensors", "a/b.safetensors")]
)
def test_on_the_command_line_pretrained_is_a_word_or_a_path(written: str, read: bool | str) -> None:
    for name in ("unet", "fpn", "deeplabv3plus"):
        options = registry().resolve("architecture", f"timm/{name}:pretrained={written}").options
        assert options == {"pretrained": read}


def test_a_run_is_loaded_without_the_weights_that_it_started_from(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    saved(weights, "test_resnet")
    run = segreg.fit(
        f"timm/unet:backbone=test_resnet,pretrained={weights},width=4",
        loss="bce",
        data="lesions:train=4,valid=2,test=2",
        size=32,
        epochs=1,
        out=tmp_path / "run",
        quiet=True,
    )
    weights.unlink()
    images = random_images(1, 3, 32, 32)
    with torch.no_grad():
        assert run.model()(images).isfinite().all()


@pytest.mark.parametrize(
    ("mean", "normalize", "way_out"),
    [
        ((0.485, 0.456, 0.406), "image", "normalize=imagenet does that"),
        ((0.485, 0.456, 0.406), "imagenet", ""),
        ((0.5, 0.5, 0.5), "imagenet", "no setting of normalize does that"),
        ((0.0, 0.0, 0.0), "image", "normalize=none does that"),
        ((0.0, 0.0, 0.0), "none", ""),
    ],
)
def test_a_run_says_if_it_normalises_otherwise_than_the_weights_expect(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mean: tuple[float, ...],
    normalize: str,
    way_out: str,
) -> None:
    weights = tmp_path / "weights.safetensors"
    saved(weights, "test_resnet")
    deviation = {0.5: (0.5,) * 3, 0.0: (1.0,) * 3}.get(mean[0], (0.229, 0.224, 0.225))
    real = timm.create_model

    def created(*names: Any, **options: Any) -> Any:
        model = real(*names, **options)
        model.pretrained_cfg = {**model.pretrained_cfg, "mean": mean, "std": deviation}
        return model

    monkeypatch.setattr(timm, "create_model", created)
    segreg.fit(
        f"timm/unet:backbone=test_resnet,pretrained={weights},width=4",
        data="lesions:train=2,valid=1,test=1,size=32",
        size=32,
        epochs=1,
        normalize=normalize,
        device="cpu",
        out=tmp_path / "run",
    )
    said = [line for line in "".join(capsys.readouterr()).splitlines() if "the pretrained weights" in line]
    assert len(said) == bool(way_out)
    assert way_out in "".join(said)
