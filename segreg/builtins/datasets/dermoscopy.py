"""Draws a skin lesion as a dermatoscope shows it, and its exact mask.

All positions are in units of the image's side, so that a larger image shows the same lesion. Colours arise as in skin:
melanin absorbs more blue than red of the returning light, blood absorbs green, and deep pigment looks grey-blue.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from segreg.contracts import Sample

Field: TypeAlias = npt.NDArray[np.float32]
Random: TypeAlias = np.random.Generator

_MELANIN = np.array([0.55, 1.0, 1.4], np.float32)  # absorption of red, green and blue
_BLOOD = np.array([0.1, 1.0, 0.8], np.float32)
_DEEP_MELANIN = np.array([1.0, 0.9, 0.65], np.float32)
_FINE = 512  # side of the canvas for strokes, whatever the image's size


def draw(rng: Random, size: int) -> Sample:
    """Draw one image.

    Args:
        rng: The source of all randomness.
        size: Height and width, in pixels.

    Shapes:
        returns: image uint8 [size, size, 3] and mask uint8 [size, size], 1 inside the lesion.
    """
    depth = _outline(rng, size)
    light = _skin(rng, size) * _pigment(rng, depth)
    for thing, chance in ((_bubbles, 0.3), (_hairs, 0.5), (_glints, 0.4), (_ruler, 0.06)):
        if rng.random() < chance:
            light = thing(rng, light)
    return _camera(rng, _lamp(rng, light)), (depth > 0).astype(np.uint8)


def _outline(rng: Random, size: int) -> Field:
    """Return how far inside the lesion each pixel is, in image sides; negative outside."""
    x, y = _grid(size)
    wander = rng.uniform(0.005, 0.04)
    x = x - 0.5 + wander * _noise(rng, size, 4)
    y = y - 0.5 + wander * _noise(rng, size, 4)
    spread, turn = rng.uniform(0.02, 0.12), rng.uniform(0, math.pi)
    parts: Field = np.zeros_like(x)
    for _ in range(rng.integers(1, 5)):
        stretch = rng.uniform(1, 1.4)
        along, across = _rotated(x - rng.normal(0, spread), y - rng.normal(0, spread), turn + rng.normal(0, 0.5))
        parts += np.exp(-14 * np.hypot(along / stretch, across * stretch))
    radius: Field = -np.log(parts) / 14 + rng.uniform(0.002, 0.014) * _noise(rng, size, 11, octaves=2)
    area = 0.05 + 0.7 * rng.beta(1.0, 1.75)
    return np.quantile(radius, area).astype(np.float32) - radius


def _skin(rng: Random, size: int) -> Field:
    """Return the light that bare skin returns, [size, size, 3]."""
    x, y = _grid(size)
    tone = 0.07 + 0.9 * rng.beta(0.8, 2.5)
    melanin = tone * (1 + 0.1 * _noise(rng, size, 5)) + rng.uniform(0.004, 0.014) * _noise(rng, size, 40, octaves=2)
    turn, furrows = rng.uniform(0, math.pi), rng.uniform(0, 0.03)
    for angle in (turn, turn + rng.uniform(0.9, 1.4)):
        along, _ = _rotated(x, y, angle)
        melanin += furrows * np.abs(np.sin((along + 0.01 * _noise(rng, size, 9)) * rng.uniform(60, 110)))
    if rng.random() < 0.25:
        freckles = np.clip(_noise(rng, size, 22) - rng.uniform(1.2, 2.0), 0, 1)
        melanin += rng.uniform(0.05, 0.25) * freckles
    blood = rng.uniform(0.02, 0.16) * (1 + 0.2 * _noise(rng, size, 4, octaves=3))
    return _through((melanin, _MELANIN), (blood, _BLOOD))


def _pigment(rng: Random, depth: Field) -> Field:
    """Return the share of light that the lesion lets through, [H, W, 3]."""
    size = len(depth)
    low, high = ((0.24, 0.35), (0.35, 0.9), (0.9, 1.8))[rng.choice(3, p=[0.04, 0.36, 0.6])]
    density = rng.uniform(low, high)
    cover = _cover(rng, depth, density)
    inward = np.clip(depth / max(float(depth.max()), 0.05), 0, 1)
    amount = density * (1 + rng.uniform(-0.5, 0.8) * (inward - 0.4))
    amount *= np.exp(rng.uniform(0.1, 0.4) * _noise(rng, size, 4, octaves=2))
    amount *= np.exp(rng.uniform(0.05, 0.25) * _noise(rng, size, 24, octaves=2))
    amount *= np.clip(1 + _structure(rng, size) * np.clip(_noise(rng, size, 3) + 0.8, 0, 1), 0.1, None)
    regression = rng.uniform(0.4, 0.8) if density > 0.35 and rng.random() < 0.2 else 0.0
    veil = rng.uniform(0.2, 0.8) if rng.random() < 0.3 else 0.0
    amount *= 1 - regression * _patch(rng, inward)
    deep = veil * _patch(rng, inward)
    hue = _MELANIN * np.exp(rng.normal((-0.1, 0, 0), (0.22, 0.03, 0.13))).astype(np.float32)
    blood = (0.12 if rng.random() < 0.4 else 0.0) * (1 + 0.3 * _noise(rng, size, 5)) * cover
    flush = (0.08 if rng.random() < 0.4 else 0.0) * np.exp(-((depth / 0.1) ** 2))
    return _through((amount * cover, hue), (deep * cover, _DEEP_MELANIN), (blood + flush, _BLOOD))


def _cover(rng: Random, depth: Field, density: float) -> Field:
    """Return how much of the lesion's full thickness there is, in [0, 1]: its border, ragged, sharp or fuzzy."""
    size = len(depth)
    softness = rng.uniform(0.004, 0.03) * np.exp(0.4 * _noise(rng, size, 5))
    ragged = depth + rng.uniform(0, 0.012) * _noise(rng, size, 28, octaves=2)
    if rng.random() < 0.12:
        x, y = _grid(size)
        turns = int(rng.integers(24, 48)) * np.arctan2(y - 0.5, x - 0.5)
        ragged += rng.uniform(0.008, 0.016) * np.cos(turns + 1.5 * _noise(rng, size, 6))
    # A dense lesion looks dark well before full thickness: move it inward until its contrast at the outline is half.
    half = math.log(2 / (1 + math.exp(-density))) / density
    return _sigmoid(ragged / softness - math.log((1 - half) / half))


def _structure(rng: Random, size: int) -> Field:
    """Return what the lesion's pattern adds to its pigment, as a share: a network, globules, cobbles or nothing."""
    kind = rng.choice(["network", "globules", "cobbles", "plain"], p=[0.36, 0.24, 0.08, 0.32])
    pattern: Field = np.zeros((size, size), np.float32)
    if kind == "network":
        nearest, second = _cells(rng, size, int(rng.integers(20, 44)))
        pattern = np.exp(-(((second - nearest) / 0.25) ** 2)) - 0.4
    elif kind == "globules":
        nearest, _ = _cells(rng, size, int(rng.integers(20, 44)))
        pattern = 1.3 * np.exp(-((nearest / rng.uniform(0.18, 0.34)) ** 2)) - 0.3
    elif kind == "cobbles":
        nearest, second = _cells(rng, size, int(rng.integers(16, 26)))
        pattern = np.tanh(2.5 * (second - nearest)) - 0.7
    return rng.uniform(0.3, 0.9) * pattern


def _patch(rng: Random, inward: Field) -> Field:
    """Return a cloudy part of the lesion, in [0, 1]."""
    cloud = np.clip(2 * inward - 0.4 + 0.7 * _noise(rng, len(inward), 4, octaves=3), 0, 1)
    patch: Field = cloud * np.clip(4 * inward, 0, 1)
    return patch


def _bubbles(rng: Random, light: Field) -> Field:
    """Add bubbles in the gel: a dark rim, and the lamp's reflection in it."""
    x, y = _grid(len(light))
    for _ in range(rng.integers(1, 7)):
        radius = rng.uniform(0.006, 0.03)
        right, down = (x - rng.uniform(0, 1)) / radius, (y - rng.uniform(0, 1)) / radius
        rim = np.exp(-(((np.hypot(right, down) - 1) / 0.25) ** 2))
        glint = np.exp(-((right + 0.4) ** 2 + (down + 0.4) ** 2) / 0.09)
        light = light * (1 - 0.25 * rim[..., None]) + 0.5 * glint[..., None]
    return light


def _hairs(rng: Random, light: Field) -> Field:
    """Draw curved hairs that grow thinner towards their ends."""
    canvas, pen = _canvas()
    steps = np.linspace(0, 1, 30)[:, None]
    for _ in range(rng.integers(1, 6) if rng.random() < 0.7 else rng.integers(8, 26)):
        start, end, bend = rng.uniform(-0.1, 1.1, 2), rng.uniform(-0.1, 1.1, 2), rng.normal(0, 0.15, 2)
        path = [tuple(at) for at in _FINE * (start + (end - start) * steps + 2 * bend * steps * (1 - steps))]
        width, shade = rng.uniform(2, 5), int(rng.uniform(150, 250))
        for step in range(len(path) - 1):
            pen.line(path[step : step + 2], fill=shade, width=max(1, round(width * (1 - 0.7 * step / len(path)))))
    colour = (0.16, 0.1, 0.08) if rng.random() < 0.9 else (0.8, 0.68, 0.55)
    return _inked(light, canvas, colour, rng.uniform(0.4, 0.95))


def _glints(rng: Random, light: Field) -> Field:
    """Add small reflections on the skin's relief."""
    canvas, pen = _canvas()
    for _ in range(rng.integers(5, 50)):
        at, along = rng.uniform(0.1, 0.9, 2), rng.normal(0, 0.008, 2)
        pen.line([tuple(at * _FINE), tuple((at + along) * _FINE)], fill=int(rng.uniform(60, 220)), width=2)
    return _inked(light, canvas, (1.0, 1.0, 1.0), 0.7)


def _ruler(rng: Random, light: Field) -> Field:
    """Add the marks of a ruler near the lower edge."""
    canvas, pen = _canvas()
    top = rng.uniform(0.9, 0.97) * _FINE
    for mark in np.arange(rng.uniform(0, 0.1), 1, rng.uniform(0.04, 0.1)) * _FINE:
        pen.line([(mark, top), (mark, top + 0.04 * _FINE)], fill=220, width=3)
    return _inked(light, canvas, (0.1, 0.1, 0.12), 0.8)


def _lamp(rng: Random, light: Field) -> Field:
    """Light the image unevenly, through glass, and darken it outside the instrument's round opening."""
    x, y = _grid(len(light))
    right, down = x - 0.5, y - 0.5
    far = np.hypot(right - rng.normal(0, 0.02), (down - rng.normal(0, 0.02)) * rng.uniform(0.72, 0.95))
    lit = 1 + rng.normal(0, 0.06) * right + rng.normal(0, 0.06) * down - rng.uniform(0.1, 0.7) * far**2
    opening = rng.uniform(0.48, 0.62) if rng.random() < 0.75 else math.inf
    lit *= 1 - 0.93 * _sigmoid((far - opening) / rng.uniform(0.006, 0.025))
    yellow = rng.uniform(0, 1) * far[..., None] ** 2 * np.array([0, 0.1, 0.3], np.float32)
    glass = np.array([0.1, 0.085, 0.085], np.float32)
    seen: Field = glass + 0.9 * light * lit[..., None] * (1 - yellow)
    return seen


def _camera(rng: Random, light: Field) -> npt.NDArray[np.uint8]:
    """Expose, tint, blur and add the noise of the sensor."""
    size = len(light)
    tint = np.exp(rng.normal(0, (0.02, 0.03, 0.07))).astype(np.float32)
    exposed = np.clip(light * rng.uniform(0.92, 1.14) * tint, 0, 1)
    soft = Image.fromarray((exposed * 255).astype(np.uint8))
    soft = soft.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.6) * size / 128))
    noise = rng.uniform(0.5, 3) * rng.standard_normal((size, size, 3), dtype=np.float32)
    image: npt.NDArray[np.uint8] = np.clip(np.rint(np.asarray(soft) + noise), 0, 255).astype(np.uint8)
    return image


def _grid(size: int) -> tuple[Field, Field]:
    """Return x and y of the pixel centres, in image sides."""
    ticks = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.meshgrid(ticks, ticks)
    return x, y


def _rotated(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def _sigmoid(value: Field) -> Field:
    tanh: Field = np.tanh(value / 2)
    return 0.5 * (1 + tanh)


def _through(*layers: tuple[Field, Field]) -> Field:
    """Return the share of light that comes through layers, each an amount [H, W] and an absorption [3]."""
    light: Field = np.exp(-sum(amount[..., None] * absorption for amount, absorption in layers))
    return light


def _noise(rng: Random, size: int, bumps: int, octaves: int = 1) -> Field:
    """Return smooth noise of mean 0 and standard deviation about 1, with a number of bumps along a side."""
    total: Field = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = bumps * 2**octave
        lattice = Image.fromarray(rng.standard_normal((count, count), dtype=np.float32))
        total += np.float32(1.3 * 0.5**octave) * np.asarray(lattice.resize((size, size), Image.Resampling.BICUBIC))
    return total


def _cells(rng: Random, size: int, count: int) -> tuple[Field, Field]:
    """Return the distances to the nearest and second nearest of scattered points, `count` of them along a side.

    Reference: Worley, A Cellular Texture Basis Function, 1996.
    """
    x, y = _grid(size)
    x = x * count + 0.3 * _noise(rng, size, 8)
    y = y * count + 0.3 * _noise(rng, size, 8)
    margin = 3
    points_x, points_y = rng.uniform(0.1, 0.9, (2, count + 2 * margin, count + 2 * margin)).astype(np.float32)
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    x, y = x - column.astype(np.float32), y - row.astype(np.float32)
    nearest = second = np.full_like(x, np.inf)
    for right in (-1, 0, 1):
        for down in (-1, 0, 1):
            at = row + down + margin, column + right + margin
            far = (points_x[at] + right - x) ** 2 + (points_y[at] + down - y) ** 2
            second = np.minimum(second, np.maximum(nearest, far))
            nearest = np.minimum(nearest, far)
    return np.sqrt(nearest), np.sqrt(second)


def _canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("L", (_FINE, _FINE))
    return canvas, ImageDraw.Draw(canvas)


def _inked(light: Field, canvas: Image.Image, colour: Sequence[float], opacity: float) -> Field:
    """Lay the strokes of a canvas over the image."""
    small = canvas.resize((len(light), len(light)), Image.Resampling.BOX)
    cover = opacity / 255 * np.asarray(small, np.float32)[..., None]
    inked: Field = light * (1 - cover) + cover * np.array(colour, np.float32)
    return inked
