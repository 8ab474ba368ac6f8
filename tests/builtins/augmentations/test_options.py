"""Options outside their range, each refused in one line that says what is allowed."""

import pytest

import segreg
from segreg.errors import OptionError
from tests.trial import call

REFUSED = {
    "hflip:p=1.5": "p is 1.5: expected a probability, 0 to 1",
    "vflip:p=-0.1": "p is -0.1: expected a probability, 0 to 1",
    "affine:degrees=181": "degrees is 181.0: expected an angle, 0 to 180",
    "affine:translate=-1": "translate is -1.0: expected a share of the image, 0 or more",
    "affine:translate=inf": "translate is inf: expected a share of the image, 0 or more",
    "affine:scale=[0,1]": "scale is (0.0, 1.0): expected the smallest and the largest, above 0",
    "affine:scale=[2,1]": "scale is (2.0, 1.0): expected the smallest and the largest, above 0",
    "affine:shear=90": "shear is 90.0: expected an angle, 0 or more and below 90",
    "affine:degrees=nan": "degrees is nan: expected an angle, 0 to 180",
    "zoom:area=[0.5,1.1]": "area is (0.5, 1.1): expected the smallest and the largest share, above 0 to 1",
    "zoom:ratio=[0,1]": "ratio is (0.0, 1.0): expected the smallest and the largest, above 0",
    "elastic:sigma=-1": "sigma is -1.0: expected a share of the image, 0 or more",
    "elastic:grid=1": "grid is 1: expected from 2 to 64 points per side",
    "brightness:limit=2": "limit is 2.0: expected a number, 0 to 1",
    "contrast:limit=-1": "limit is -1.0: expected a number, 0 to 1",
    "gamma:limit=0.5": "limit is 0.5: expected a finite number, 1 or more",
    "noise:sigma=nan": "sigma is nan: expected a number, 0 to 1",
}


@pytest.mark.parametrize(("name", "message"), REFUSED.items())
def test_is_refused(name: str, message: str) -> None:
    with pytest.raises(OptionError) as refused:
        segreg.augmentation(name)
    assert str(refused.value) == f"{name.partition(':')[0]}: {message}"


def test_is_refused_in_one_line_before_anything_is_read(tmp_path: object) -> None:
    status, out, err = call(
        "train", "unet:width=4,depth=2", "--augment", "affine:scale=[2,1]", "--data", "folder:root=missing"
    )
    assert (status, out) == (2, "")
    assert err.splitlines() == ["segreg: affine: scale is (2.0, 1.0): expected the smallest and the largest, above 0"]


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    status, _, err = call("train", "unet", "--augment", "afine")
    assert status == 2
    assert err.startswith("segreg: unknown augmentation 'afine' (did you mean 'affine'?)")
