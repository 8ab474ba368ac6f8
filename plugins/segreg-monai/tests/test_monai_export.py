"""A network of MONAI that branches on sizes in Python can be exported anyway."""

from pathlib import Path

import torch

import segreg


def test_it_is_exported_for_every_size(tmp_path: Path) -> None:
    run = segreg.fit(
        "monai/basicunet:features=[4,4,4,4,8,4]",
        data="lesions:train=2,valid=1,test=1",
        size=32,
        epochs=1,
        out=tmp_path / "run",
        device="cpu",
        quiet=True,
    )
    made = segreg.export(run, tmp_path / "model.pt2", format="torch-export", quiet=True)
    program, model = torch.export.load(made.path).module(), run.model()
    # Halving these gives odd and even sizes at different depths.
    for size in ((32, 32), (33, 50), (47, 58)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program(images), model(images))
