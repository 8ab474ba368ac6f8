import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from segreg.data.image_files import pixels_allowed, read_image, read_mask
from segreg.errors import DataError
from tests.builtins.datasets.files import blob, colours, save

IN_TMP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def palette_image(indices, table):
    image = Image.fromarray(np.asarray(indices, np.uint8), "P")
    image.putpalette([value for colour in table for value in colour])
    return image


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


# ── images ──


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_colours_are_read_back_into_a_writable_array(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a{suffix}", colours()))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, colours())


def test_greyscale_and_one_bit_images_become_three_equal_channels(tmp_path):
    grey = colours()[:, :, 0]
    np.testing.assert_array_equal(read_image(save(tmp_path / "grey.png", grey)), np.stack([grey] * 3, 2))
    two = read_image(save(tmp_path / "two.png", blob().astype(bool)))
    np.testing.assert_array_equal(two, np.stack([blob() * 255] * 3, 2))


def test_palette_and_cmyk_become_rgb(tmp_path):
    table = [(10, 20, 30), (200, 100, 50)]
    image = read_image(save(tmp_path / "palette.png", palette_image(blob(), table)))
    np.testing.assert_array_equal(image, np.array(table, np.uint8)[blob()])
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[..., 0] = 255
    image = read_image(save(tmp_path / "ink.tif", Image.fromarray(ink, "CMYK")))
    np.testing.assert_array_equal(image, np.broadcast_to(np.array([0, 255, 255], np.uint8), (4, 4, 3)))


def test_alpha_is_dropped_and_does_not_darken(tmp_path):
    see_through = np.dstack([colours(), np.zeros((6, 8), np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", see_through)), colours())


@given(st.integers(0, 65535))
@IN_TMP
def test_sixteen_bits_are_scaled_to_eight(tmp_path, value):
    image = read_image(save(tmp_path / "a.png", np.full((2, 3), value, np.uint16)))
    assert image.shape == (2, 3, 3)
    assert np.all(np.abs(image.astype(float) - value / 65535 * 255) <= 0.5)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda a: a), (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1))],
)
def test_exif_orientation_is_applied_to_image_and_mask(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(save(tmp_path / "a.png", colours(), exif=exif))
    mask = read_mask(save(tmp_path / "m.png", blob(), exif=exif), num_classes=1)
    np.testing.assert_array_equal(image, upright(colours()))
    np.testing.assert_array_equal(mask, upright(blob()))


# ── masks ──


@pytest.mark.parametrize(
    "pixels",
    [
        blob(),
        blob() * np.uint8(255),
        blob().astype(bool),
        np.stack([blob() * np.uint8(255)] * 3, 2),
        np.stack([blob() * np.uint8(255)] * 3 + [np.full((6, 8), 255, np.uint8)], 2),
        blob().astype(np.uint16) * np.uint16(65535),
        palette_image(blob(), [(0, 0, 0), (128, 0, 0)]),
        palette_image(1 - blob(), [(255, 255, 255), (0, 0, 0)]),
    ],
    ids=["0-1", "0-255", "1-bit", "rgb", "rgba", "16-bit", "palette", "inverted palette"],
)
def test_every_encoding_of_a_binary_mask_is_read_the_same(tmp_path, pixels):
    mask = read_mask(save(tmp_path / "m.png", pixels), num_classes=1)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, blob())


@pytest.mark.parametrize(("value", "read"), [(0, 0), (1, 1), (255, 1)])
def test_a_mask_of_one_value_is_all_background_or_all_foreground(tmp_path, value, read):
    mask = read_mask(save(tmp_path / "m.png", np.full((5, 4), value, np.uint8)), num_classes=1)
    np.testing.assert_array_equal(mask, np.full((5, 4), read))


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_a_binary_jpeg_is_read_through_its_compression_noise(tmp_path, quality):
    y, x = np.mgrid[:96, :128]
    ground_truth = ((x - 70) ** 2 + (y - 40) ** 2 < 900).astype(np.uint8)
    path = save(tmp_path / "m.jpg", ground_truth * np.uint8(255), quality=quality)
    assert len(np.unique(np.asarray(Image.open(path)))) > 2
    mask = read_mask(path, num_classes=1)
    assert set(np.unique(mask)) == {0, 1}
    assert np.mean(mask != ground_truth) < 0.004


def test_a_jpeg_photograph_is_not_a_binary_mask(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    with pytest.raises(DataError, match=r"m\.jpg has the values 0, 1.*binary mask has 0 and 1, or 0 and 255"):
        read_mask(save(tmp_path / "m.jpg", ramp), num_classes=1)


@pytest.mark.parametrize("values", [[0, 7], [0, 1, 2], [0, 128, 255], [0, 1, 255], [3]])
def test_stray_values_in_a_binary_mask_are_named(tmp_path, values):
    mask = np.resize(np.array(values, np.uint8), (5, 6))
    with pytest.raises(DataError) as caught:
        read_mask(save(tmp_path / "m.png", mask), num_classes=1)
    assert str(tmp_path / "m.png") in str(caught.value)
    assert ", ".join(map(str, values)) in str(caught.value)


def test_void_is_ignored_in_a_binary_mask(tmp_path):
    path = save(tmp_path / "m.png", np.array([[0, 1, 255]], np.uint8))
    np.testing.assert_array_equal(read_mask(path, num_classes=1, ignore_value=255), [[0, 1, 255]])
    path = save(tmp_path / "n.png", np.array([[0, 255, 100]], np.uint8))
    np.testing.assert_array_equal(read_mask(path, num_classes=1, ignore_value=100), [[0, 1, 255]])


@given(st.data(), st.integers(2, 255))
@IN_TMP
def test_class_indices_are_read_back(tmp_path, data, num_classes):
    allowed = st.integers(0, num_classes - 1) | st.just(255)
    indices = data.draw(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=allowed))
    mask = read_mask(save(tmp_path / "m.png", indices), num_classes=num_classes)
    np.testing.assert_array_equal(mask, indices)


def test_palette_indices_are_the_classes_whatever_their_colours(tmp_path):
    table = [(0, 0, 0), (255, 255, 255), (255, 255, 255)]
    indices = np.array([[0, 1, 2], [2, 1, 0]])
    mask = read_mask(save(tmp_path / "m.png", palette_image(indices, table)), num_classes=3)
    np.testing.assert_array_equal(mask, indices)


def test_the_void_label_becomes_255(tmp_path):
    mask = read_mask(save(tmp_path / "m.png", np.array([[0, 10, 11, 255]], np.uint8)), num_classes=11, ignore_value=11)
    np.testing.assert_array_equal(mask, [[0, 10, 255, 255]])


@pytest.mark.parametrize("pixels", [np.array([[0, 3]], np.uint8), np.array([[0, 300]], np.uint16)])
def test_a_class_out_of_range_is_named_with_the_allowed_ones(tmp_path, pixels):
    with pytest.raises(DataError, match=rf"m\.png has the values 0, {pixels.max()}: 3 classes allow 0 to 2, and 255"):
        read_mask(save(tmp_path / "m.png", pixels), num_classes=3)


def test_class_indices_in_a_jpeg_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"m\.jpg is a JPEG.*save masks as PNG"):
        read_mask(save(tmp_path / "m.jpg", np.zeros((8, 8), np.uint8)), num_classes=3)


def test_a_colour_mask_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"m\.png is a colour image \(RGB\)"):
        read_mask(save(tmp_path / "m.png", colours()), num_classes=1)


# ── large files ──


LARGE = [(1500, 1100), (1024, 1), (3, 2100)]


@pytest.mark.parametrize("shape", LARGE)
def test_an_image_of_several_tiles_is_read_whole(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", image)), image)


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("encode", [np.uint8, np.uint16, lambda mask: palette_image(mask, [(9, 9, 9)] * 256)])
def test_a_mask_of_several_tiles_is_read_whole_and_a_stray_value_in_the_last_one_is_found(tmp_path, shape, encode):
    mask = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), shape)
    expected = np.where(mask == 2, 255, mask)
    path = save(tmp_path / "m.png", encode(mask))
    np.testing.assert_array_equal(read_mask(path, num_classes=3), mask)
    np.testing.assert_array_equal(read_mask(path, num_classes=2, ignore_value=2), expected)
    mask[-1, -1] = 77
    with pytest.raises(DataError, match=r"m\.png has the values 0, 1, 2, 77, 255: 3 classes allow 0 to 2"):
        read_mask(save(tmp_path / "m.png", encode(mask)), num_classes=3)


def test_a_colour_far_away_keeps_a_palette_mask_from_being_black_and_white(tmp_path):
    indices = np.ones((1500, 1100), np.uint8)
    indices[-1, -1] = 0
    for other, expected in (((255, 255, 255), 1 - indices), ((255, 0, 0), indices)):
        path = save(tmp_path / "m.png", palette_image(indices, [other, (0, 0, 0)]))
        np.testing.assert_array_equal(read_mask(path, num_classes=1), expected)


def test_a_webp_may_have_half_as_many_pixels_as_other_files_for_the_memory_that_it_takes(tmp_path):
    for suffix, largest in ((".png", 48), (".webp", 96)):
        path = save(tmp_path / f"a{suffix}", colours())
        with pixels_allowed(largest):
            assert read_image(path).shape == (6, 8, 3)
        with (
            pixels_allowed(largest - 1),
            pytest.raises(DataError, match=r"has more than \d+ pixels: cut it into tiles"),
        ):
            read_image(path)


@pytest.mark.parametrize("pixels", [b"P2\n# CREATOR: GIMP\n3 1 # width\n255\n0 1 1\n", b"P5 #a\n#b\n3 1 255\n\0\1\1"])
def test_the_usual_comments_of_a_ppm_are_read(tmp_path, pixels):
    (tmp_path / "m.pgm").write_bytes(pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.pgm", num_classes=1), [[0, 1, 1]])


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_emptiest_jpeg_is_not_taken_for_a_truncated_one(tmp_path, options, mode):
    path = save(tmp_path / "a.jpg", Image.new(mode, (3000, 2000), "white"), quality=1, **options)
    assert (read_image(path) == 255).all()


# ── damaged files ──


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".gif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_named(tmp_path, suffix, share):
    path = save(tmp_path / f"a{suffix}", colours(60, 80))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=rf"a\{suffix} .*(truncated|no image)"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n", b"P6 2\xc0 2 255 "])
def test_a_file_that_is_not_an_image_is_named(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png"):
        read_image(path)


def test_a_file_that_vanished_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png"):
        read_mask(tmp_path / "gone.png", num_classes=1)


@pytest.mark.parametrize("side", [100_000, 9_500])
@pytest.mark.parametrize("pillows_own_limit", [Image.MAX_IMAGE_PIXELS, None])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_image_declared_in_a_tiny_file_is_refused(tmp_path, monkeypatch, side, pillows_own_limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows_own_limit)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    for read in (read_image, lambda path: read_mask(path, num_classes=1)):
        with pytest.raises(DataError, match=r"bomb\.png has more than 89,478,485 pixels: cut it into tiles"):
            read(path)


@pytest.mark.parametrize("pixels", [np.zeros((3, 3), np.float32), np.full((3, 3), 70_000, np.int32)])
def test_pixels_that_do_not_fit_in_eight_bits_are_refused(tmp_path, pixels):
    path = save(tmp_path / "a.tif", pixels)
    for read in (read_image, lambda path: read_mask(path, num_classes=1)):
        with pytest.raises(DataError, match=r"a\.tif holds (floating-point|32-bit) pixels"):
            read(path)


@given(data=st.data(), suffix=st.sampled_from([".png", ".jpg", ".tif", ".gif"]))
@IN_TMP
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_gives_an_image_or_a_one_line_error(tmp_path, data, suffix):
    path: Path = save(tmp_path / f"a{suffix}", colours(20, 30))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        image = read_image(path)
    except DataError as error:
        message = str(error)
        assert "\n" not in message
        assert str(path) in message
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
