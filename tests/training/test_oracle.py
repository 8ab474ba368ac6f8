"""A training loop in plain torch, as papers describe theirs, against a run with the same settings."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import segreg
from segreg.training.checkpoint import load_checkpoint
from tests.trial import call

EPOCHS, BATCH, SEED = 3, 4, 5
MODEL, DATA = "unet:width=4,depth=1", "lesions:size=32,train=10,valid=2,test=2"


def test_sgd_with_momentum_and_poly_is_a_plain_loop(tmp_path: Path) -> None:
    recipe = "--optimizer sgd:lr=0.05,momentum=0.9,weight_decay=0.0005 --schedule poly --augment none --normalize none"
    settings = f"--epochs {EPOCHS} --batch {BATCH} --seed {SEED} --size 32 --precision fp32 --device cpu -q"
    words = f"train {MODEL} --data {DATA} {recipe} {settings}".split()
    status, _, err = call(*words, "--out", str(tmp_path / "run"))
    assert status == 0, err

    samples = segreg.dataset(DATA).splits["train"]
    pairs = [samples[position] for position in range(len(samples))]
    images = torch.stack([torch.from_numpy(image).movedim(-1, 0) for image, _ in pairs]).float() / 255
    masks = torch.stack([torch.from_numpy(mask) for _, mask in pairs]).float()
    torch.manual_seed(SEED)
    model = segreg.build(MODEL).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.0005)
    steps = -(-len(images) // BATCH)
    losses = []
    for epoch in range(1, EPOCHS + 1):
        torch.manual_seed(SEED + 1_000_003 * epoch)
        total = 0.0
        for step, chosen in enumerate(torch.randperm(len(images)).split(BATCH)):
            optimizer.param_groups[0]["lr"] = 0.05 * (1 - ((epoch - 1) * steps + step) / (EPOCHS * steps)) ** 0.9
            optimizer.zero_grad()
            logits = model(images[chosen].contiguous(memory_format=torch.channels_last))
            loss = F.binary_cross_entropy_with_logits(logits[:, 0], masks[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        losses.append(total / len(images))

    run = segreg.Run(tmp_path / "run")
    trained = (load_checkpoint(run) or {})["model"]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(trained[f"model.{name}"], tensor, rtol=0, atol=1e-6)
    assert [round(row["train_loss"], 5) for row in run.history] == [round(loss, 5) for loss in losses]
    assert load_file(run.path / "model.safetensors").keys() == model.state_dict().keys()
