"""SegNet and SegNet-Basic against an implementation in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import segreg
from segreg.errors import OptionError
from segreg.registry import registry
from tests.builtins.architectures import oracle
from tests.trial import call


@pytest.mark.parametrize(("width", "size"), [(8, (32, 48)), (5, (37, 50)), (1, (33, 32))])
def test_segnet_basic_agrees_with_numpy(width: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model, weights = oracle.randomized(segreg.build("segnet-basic", width=width, in_channels=2, num_classes=3))
    images = np.random.default_rng(0).random((2, 2, *size))
    with torch.no_grad():
        logits = model(torch.tensor(images)).numpy()
    np.testing.assert_allclose(logits, oracle.segnet_basic(images, weights), rtol=1e-9, atol=1e-9 * abs(logits).max())


@pytest.mark.parametrize("width", [1, 5, 8])
def test_segnet_agrees_with_numpy(width: int) -> None:
    torch.manual_seed(0)
    model, weights = oracle.randomized(segreg.build("segnet", width=width, num_classes=2))
    images = np.random.default_rng(0).random((1, 3, 32, 50))
    with torch.no_grad():
        logits = model(torch.tensor(images)).numpy()
    np.testing.assert_allclose(logits, oracle.segnet(images, weights), rtol=1e-9, atol=1e-9 * abs(logits).max())


def test_unpooling_puts_every_value_where_its_maximum_was() -> None:
    """With the oracle's own functions, on an image small enough to read."""
    x = np.array([[[[1.0, 2, 5, 4], [3, 0, 6, 7]]]])
    places = oracle.quarters(x).argmax(-1)
    assert places.tolist() == [[[[2, 3]]]]
    assert oracle.unpooled(np.array([[[[10.0, 20]]]]), places).tolist() == [[[[0, 0, 0, 0], [10, 0, 0, 20]]]]


def vgg16(seed: int, *, bias: bool = True) -> nn.Sequential:
    """VGG16 with batch normalisation as torchvision and timm write it, with random weights and statistics."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    previous = 3
    for stage in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
        for channels in stage:
            layers += [nn.Conv2d(previous, channels, 3, padding=1, bias=bias), nn.BatchNorm2d(channels), nn.ReLU()]
            previous = channels
        layers.append(nn.MaxPool2d(2))
    features = nn.Sequential(*layers)
    for layer in features:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            nn.init.uniform_(layer.running_var, 0.1, 0.2)
    return features.eval()


def written(path: Path, features: nn.Sequential) -> Path:
    save_file({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Sequential]:
    features = vgg16(0)
    return written(tmp_path_factory.mktemp("vgg16") / "vgg16_bn.safetensors", features), features


def test_the_pretrained_encoder_computes_what_vgg16_computes(weights: tuple[Path, nn.Sequential]) -> None:
    path, features = weights
    model = segreg.build("segnet", pretrained=path).eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected, got = features(images), images
        for stage in model.encoder:
            got, _ = model.pool(stage(got))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)
    assert registry().find("architecture", "segnet").record.pretrained_options == ("pretrained",)


def test_the_decoder_is_drawn_as_without_pretrained_weights(weights: tuple[Path, nn.Sequential]) -> None:
    torch.manual_seed(0)
    one = segreg.build("segnet", pretrained=weights[0]).decoder.state_dict()
    torch.manual_seed(0)
    other = segreg.build("segnet").decoder.state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_pretrained_weights_that_cannot_be_used_are_refused(
    tmp_path: Path, weights: tuple[Path, nn.Sequential]
) -> None:
    without_norm = written(tmp_path / "vgg16.safetensors", nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU()))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights[0].read_bytes()[:-100])
    wide = written(tmp_path / "wide.safetensors", nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    for pretrained, options, why in [
        (without_norm, {}, "does not have the weights of VGG16 with batch normalisation"),
        (wide, {}, "does not have the weights of VGG16 with batch normalisation"),
        (cut, {}, "not a complete safetensors file"),
        (tmp_path / "missing.safetensors", {}, "the file does not exist"),
        (tmp_path / "vgg16_bn.pth", {}, r"weights_only=True\), 'vgg16_bn\.safetensors'\)"),
        ("resnet18", {}, r"such as 'vgg16_bn\.tv_in1k'"),
        (weights[0], {"width": 32}, "VGG16 has 3 channels and width 64, not 3 and 32"),
        (weights[0], {"in_channels": 1}, "VGG16 has 3 channels and width 64, not 1 and 64"),
    ]:
        with pytest.raises(OptionError, match=why) as caught:
            segreg.build("segnet", pretrained=pretrained, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vgg16_bn", "vgg16_bn.tv_in1k"])
def test_a_name_is_fetched_from_the_hub_or_its_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: tuple[Path, nn.Sequential]
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    # Nothing listens there.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OptionError, match=r"cannot be fetched from the Hugging Face Hub: give the path of") as caught:
        segreg.build("segnet", pretrained=name)
    assert "\n" not in str(caught.value)
    folder = tmp_path / "models--timm--vgg16_bn.tv_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("1" * 40)
    (folder / "snapshots" / ("1" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("1" * 40) / "model.safetensors").symlink_to(weights[0])
    model = segreg.build("segnet", pretrained=name)
    assert torch.equal(model.encoder[0][0][0].weight, weights[1][0].weight)


def test_a_run_says_which_normalisation_the_weights_expect_and_is_loaded_without_them(
    tmp_path: Path, weights: tuple[Path, nn.Sequential]
) -> None:
    path = tmp_path / "vgg16_bn.safetensors"
    path.write_bytes(weights[0].read_bytes())
    words = ["train", f"segnet:pretrained={path}", "--data", "lesions:train=1,valid=1,test=1,size=32", "--size", "32"]
    words += ["--epochs", "1", "--batch", "1", "--device", "cpu"]
    told = []
    for normalize in ("image", "imagenet"):
        status, out, err = call(*words, "--normalize", normalize, "--out", str(tmp_path / normalize))
        assert status == 0, err
        told += [line for line in (out + err).splitlines() if "the pretrained weights" in line]
    assert len(told) == 1
    assert "normalize=imagenet does that, and this run has normalize=image" in told[0]
    path.unlink()
    with torch.no_grad():
        assert segreg.Run(tmp_path / "imagenet").model()(torch.rand(1, 3, 32, 32)).isfinite().all()
