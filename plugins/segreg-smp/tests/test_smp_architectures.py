"""smp's models under segreg's contract: the same output as smp, at every size."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

import segreg
from segreg.errors import OptionError
from segreg_smp import plugin
from segreg_smp.architectures import smp

CLASSES = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "manet": smp.MAnet,
    "linknet": smp.Linknet,
    "fpn": smp.FPN,
    "pspnet": smp.PSPNet,
    "pan": smp.PAN,
    "deeplabv3": smp.DeepLabV3,
    "deeplabv3plus": smp.DeepLabV3Plus,
    "upernet": smp.UPerNet,
    "segformer": smp.Segformer,
    "dpt": smp.DPT,
}
# The smallest available.
ENCODERS = {"segformer": "mit_b0", "dpt": "tu-test_vit"}
every_name = pytest.mark.parametrize("name", CLASSES)


def encoder(name: str) -> str:
    return ENCODERS.get(name, "tu-test_resnet")


def test_every_architecture_of_smp_is_declared() -> None:
    declared = {record.name for record in plugin.segreg_architectures()}
    assert declared == set(smp.MODEL_ARCHITECTURES_MAPPING) == set(CLASSES)


@every_name
def test_gives_what_smp_gives(name: str) -> None:
    """At a size that smp takes, and at an odd one, padded by hand."""
    torch.manual_seed(0)
    model = segreg.build(f"smp/{name}", encoder=encoder(name), num_classes=2)
    options = {"dynamic_img_size": True} if name == "dpt" else {}
    peer = CLASSES[name](encoder_name=encoder(name), encoder_weights=None, classes=2, **options)
    state = model.model.state_dict()
    surplus = ["encoder.model.norm", "encoder.model.head"] if name == "dpt" else []
    assert {key.rpartition(".")[0] for key in peer.state_dict().keys() - state} == set(surplus)
    peer.load_state_dict(state, strict=not surplus)
    model.eval(), peer.eval()
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        expected = peer(images)
        torch.testing.assert_close(model(images), expected)
        odd = images[:, :, :121, :122]
        padded = F.pad(odd, (0, 6, 0, 7), mode="replicate")
        torch.testing.assert_close(model(odd), peer(padded)[:, :, :121, :122])
    assert expected.std() > 1e-4


@every_name
def test_one_image_of_an_odd_size_is_enough_to_learn_from(name: str) -> None:
    model = segreg.build(f"smp/{name}", encoder=encoder(name), in_channels=4, num_classes=3).train()
    logits = model(torch.rand(1, 4, 33, 50))
    assert logits.shape == (1, 3, 33, 50)
    logits.square().mean().backward()
    for where, parameter in model.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where


def pooled_norm(model: nn.Module) -> nn.BatchNorm2d:
    """The normalisation behind the global pooling of DeepLabV3+."""
    _, _, norm, _ = model.model.decoder.aspp[0].convs[-1]
    return norm


def step(model: nn.Module, images: Tensor) -> Tensor:
    before = pooled_norm(model).running_mean.clone()
    model(images)
    return pooled_norm(model).running_mean - before


def test_a_single_value_leaves_the_statistics_and_several_do_not() -> None:
    model = segreg.build("smp/deeplabv3plus", encoder="tu-test_resnet").train()
    assert not step(model, torch.rand(1, 3, 64, 64)).any()
    assert step(model, torch.rand(2, 3, 64, 64)).any()


def test_a_single_value_is_normalised_as_in_evaluation() -> None:
    norm = pooled_norm(segreg.build("smp/deeplabv3plus", encoder="tu-test_resnet"))
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            tensor.uniform_(1, 2)
    value = torch.rand(1, 256, 1, 1)
    torch.testing.assert_close(norm.train()(value), norm.eval()(value))


def test_pretrained_weights_come_from_the_cache_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = smp.encoders.encoders["mobilenet_v2"]["pretrained_settings"]["imagenet"]
    folder = tmp_path / f"models--{settings['repo_id'].replace('/', '--')}" / "snapshots" / settings["revision"]
    folder.mkdir(parents=True)
    weights = smp.encoders.get_encoder("mobilenet_v2", weights=None).state_dict()
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    built = segreg.build("smp/linknet", encoder="mobilenet_v2", weights="imagenet").model.encoder.state_dict()
    assert built.keys() == weights.keys()
    assert all(torch.equal(built[key], weights[key]) for key in weights)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("unet:encoder=resnet17", r"encoder is 'resnet17' \(did you mean 'resnet18'\?\): expected an encoder of smp"),
        ("unet:encoder=tu-resnet17", r"encoder is 'tu-resnet17' \(did you mean 'tu-resnet18'\?\)"),
        ("unet:encoder=resnet18,weights=imagnet", r"smp cannot build unet .*\['imagenet', 'ssl', 'swsl'\]"),
        ("deeplabv3:encoder=vgg11", r"smp cannot build deeplabv3 with encoder 'vgg11': .*dilated"),
        ("unet:num_classes=0", r"num_classes is 0: expected 1 or more"),
    ],
)
def test_what_smp_cannot_build_is_reported_in_one_line(expression: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        segreg.build(f"smp/{expression}")
    assert "\n" not in str(caught.value)
