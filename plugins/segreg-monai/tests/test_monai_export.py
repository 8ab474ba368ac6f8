"""Networks of MONAI that ask for sizes in Python can be exported all the same."""

from pathlib import Path

import pytest
import torch

import segreg


@pytest.mark.parametrize("network", ["basicunet:features=[4,4,4,4,8,4]", "basicunetplusplus:features=[4,4,4,4,8,4]"])
def test_it_is_exported_for_every_size(network: str, tmp_path: Path) -> None:
    data = "lesions:train=2,valid=1,test=1"
    run = segreg.fit(f"monai/{network}", data=data, size=32, epochs=1, out=tmp_path / "run", device="cpu", quiet=True)
    made = segreg.export(run, tmp_path / "model.pt2", format="torch-export", quiet=True)
    program, model = torch.export.load(made.path).module(), run.model()
    # The halves of these are odd and even at different depths.
    for size in ((32, 32), (33, 50), (47, 58)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program(images), model(images))
