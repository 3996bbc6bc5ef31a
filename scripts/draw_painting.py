"""Draw the demo's painting: an evening valley in thick strokes, made from nothing but numbers.

    python scripts/draw_painting.py src/impasto/data/painting.png

An underpainting of a few simple shapes gives every place a colour and a direction; several thousand curved strokes,
large to small, are laid over it, each with its own bristles, colour and relief; a raking light then falls on the paint.
Everything is drawn at twice the size and averaged down. Every run gives the same picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

SEED = 7
Array = npt.NDArray[np.float64]

ASPECT = 1.25  # width / height; coordinates below are in picture heights, x 0 … 1.25 to the right, y 0 … 1 down
SUN = (0.80, 0.295, 0.095)  # x, y, radius
TREES = ((0.15, 0.545, 0.115), (0.305, 0.615, 0.070), (1.09, 0.655, 0.085), (0.93, 0.615, 0.035))
VANISHING = (0.62, 0.38)  # where the furrows of the fields meet
LIGHT = (-0.55, -0.62, 0.9)  # towards the lamp: right, down, out of the picture

PALETTE = {
    "ink": "#0d1433", "ultramarine": "#1b3590", "cobalt": "#2f6fb8", "teal": "#2a8c93", "pale": "#a9cdd0",
    "cream": "#f8ebcb", "gold": "#f3bf45", "ochre": "#c98422", "vermilion": "#de4526", "crimson": "#8c1c33",
    "plum": "#40204f", "rose": "#e8977f", "olive": "#66742f",
}  # fmt: skip

# (stroke width in picture heights, length in widths, coverage of the picture, how strongly detail attracts strokes)
BRUSHES = (
    (0.080, 5.0, 4.0, 0.0),
    (0.048, 6.0, 3.0, 0.2),
    (0.030, 6.5, 2.4, 0.5),
    (0.018, 7.0, 1.6, 0.8),
    (0.011, 7.0, 0.9, 1.0),
)

# How sRGB's linear light becomes OKLab and back (Ottosson 2020), the space where colours are mixed and jittered.
TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                   [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def lab_from_hex(code: str) -> Array:
    """Return the OKLab triple of a colour written ``#rrggbb``."""
    srgb = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(TO_LAB @ np.cbrt(TO_LMS @ linear))


def linear_from_lab(lab: Array) -> Array:
    """Return linear RGB, 0 … 1, of OKLab colours in the last axis."""
    lms = (lab @ np.linalg.inv(TO_LAB).T) ** 3
    return np.clip(lms @ np.linalg.inv(TO_LMS).T, 0, 1)


def ramp(t: Array, *names: str) -> Array:
    """Return OKLab colours at t (0 … 1) along the named colours of the palette."""
    colours = np.array([lab_from_hex(PALETTE[name]) for name in names])
    at = np.clip(t, 0, 1) * (len(names) - 1)
    return np.stack([np.interp(at, np.arange(len(names)), colours[:, k]) for k in range(3)], axis=-1)


def hat_weights(samples: int, knots: int) -> Array:
    """Return the samples×knots matrix that interpolates linearly between evenly spaced knots."""
    at = np.linspace(0, knots - 1, samples)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(knots))))


def smooth_weights(samples: int, knots: int) -> Array:
    """Return the samples×knots matrix of the uniform cubic B-spline: no creases at the knots."""
    away = np.abs(np.linspace(0, knots - 1, samples)[:, None] - np.arange(knots))
    weights = np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def cloud(rng: np.random.Generator, shape: tuple[int, int], knots: tuple[int, int]) -> Array:
    """Return a field of random values at the knots, linear between them."""
    return np.asarray(hat_weights(shape[0], knots[0]) @ rng.standard_normal(knots) @ hat_weights(shape[1], knots[1]).T)


class Scene(NamedTuple):
    """The underpainting: what every place should look like, on a coarse grid."""

    colour: Array  # H×W×3 OKLab
    region: npt.NDArray[np.int64]  # H×W, strokes do not cross from one to another
    flow: Array  # H×W×2, unit vectors (x, y)
    detail: Array  # H×W, 0 … 1
    fine: Array  # H×W, 1 or less where strokes are shorter and thinner

    def cell(self, point: Array) -> tuple[int, int]:
        """Return the row and column of the grid nearest to a point."""
        rows, cols = self.region.shape
        return min(max(int(point[1] * rows), 0), rows - 1), min(max(int(point[0] * rows), 0), cols - 1)


class Part(NamedTuple):
    """One thing in the underpainting."""

    mask: npt.NDArray[np.bool_]
    colour: Array
    lines: Array  # strokes follow the contour lines of this field
    fine: float = 1.0


def landscape(x: Array, y: Array, wobble: Array) -> list[Part]:
    """Return sky, sun, hills, fields, river and near bank, from back to front."""
    sun = np.hypot(x - SUN[0], y - SUN[1])
    far = 0.49 + 0.035 * np.sin(5.2 * x + 0.6) + 0.012 * np.sin(13 * x + 2)
    middle = 0.575 + 0.040 * np.sin(4.1 * x + 3.1) + 0.010 * np.sin(11 * x + 0.5)
    near = 0.66 + 0.045 * np.sin(3.4 * x + 5)
    bank = 0.93 + 0.05 * np.sin(2.7 * x + 2.2) + 0.02 * np.sin(7 * x)
    depth = np.maximum(y - 0.62, 0)
    river = 0.60 + 1.3 * depth * np.sin(10.5 * depth - 0.2)
    furrow = (x - VANISHING[0]) / (y - VANISHING[1])
    slant = 0.80 * y + 0.42 * x + 0.035 * np.sin(7 * x - 3 * y) + 0.5 * wobble
    clouds = np.sin(17 * (y + 0.20 * x) + 40 * wobble) + 0.6 * np.sin(9 * (x - 0.5 * y) + 3)

    sky = 0.08 + 1.05 * y + 0.30 * np.exp(-((sun / 0.30) ** 2)) + 0.13 * clouds
    disc = 0.5 + 0.6 * (slant - 0.80 * SUN[1] - 0.42 * SUN[0]) / SUN[2]
    crops = 0.46 + 0.46 * np.sin(12 * furrow + 25 * wobble) + 0.10 * np.sin(80 * y + 9 * x)
    water = 0.5 + 0.3 * np.sin(60 * y + 40 * wobble) + 0.3 * np.sin(14 * x)
    range_far = ramp(6 * (y - far) + 3 * wobble, "cobalt", "ultramarine", "plum", "ultramarine")
    range_middle = ramp(7 * (y - middle) + 4 * wobble, "teal", "cobalt", "ink", "plum")
    heaven = ramp(sky, "ultramarine", "cobalt", "cobalt", "pale", "cream", "cream", "gold", "rose")
    field = ramp(crops, "crimson", "vermilion", "ochre", "vermilion", "gold", "cream")
    stream = ramp(water, "ultramarine", "cobalt", "pale", "cream", "rose")
    return [
        Part(y > -1, heaven, slant),
        Part(sun < SUN[2], ramp(disc, "gold", "vermilion", "vermilion", "crimson"), slant, fine=0.6),
        Part(y > far, range_far, y - far + 0.5 * x + wobble),
        Part(y > middle, range_middle, y - middle - 0.25 * x),
        Part(y > near, field, furrow),
        Part((np.abs(x - river) < 0.016 + 0.40 * depth) & (y > near), stream, y + 0.4 * wobble, fine=0.7),
        Part(y > bank, ramp(6 * (y - bank) + 6 * wobble, "olive", "ink", "teal", "ink"), x + 0.3 * y + wobble),
    ]


def tree(x: Array, y: Array, wobble: Array, place: tuple[float, float, float]) -> list[Part]:
    """Return the trunk and the crown of a tree; place is its x, y and radius."""
    right, up, radius = x - place[0], place[1] - y, place[2]
    lobes = 0.13 * np.sin(5 * np.arctan2(-up, right) + 40 * place[0]) + 2 * wobble
    crown = np.hypot(right, 0.9 * up) / radius + lobes < 1
    trunk = (np.abs(right) < 0.09 * radius) & (up < 0) & (up > -1.5 * radius)
    leaves = ramp(0.40 + 0.40 * (up - 0.6 * right) / radius + 3 * wobble, "ink", "ink", "teal", "olive", "gold")
    fan = right / np.maximum(up + 1.6 * radius, 0.01)
    return [Part(trunk, ramp(0.5 + 2 * wobble, "ink", "plum"), x, fine=0.5), Part(crown, leaves, fan, fine=0.5)]


def compose(rng: np.random.Generator, rows: int) -> Scene:
    """Return the underpainting on a grid of so many rows."""
    cols = round(rows * ASPECT)
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(cols) + 0.5) / rows, indexing="ij")
    wobble = 0.09 * (smooth_weights(rows, 9) @ rng.standard_normal((9, 11)) @ smooth_weights(cols, 11).T)
    parts = landscape(x, y, wobble) + [part for place in TREES for part in tree(x, y, wobble, place)]
    colour, region = np.zeros((rows, cols, 3)), np.zeros((rows, cols), dtype=np.int64)
    flow, fine = np.zeros((rows, cols, 2)), np.ones((rows, cols))
    for number, part in enumerate(parts):
        down, right = np.gradient(part.lines)
        along = np.stack([down, -right], axis=-1)
        along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
        colour[part.mask], region[part.mask], flow[part.mask] = part.colour[part.mask], number, along[part.mask]
        fine[part.mask] = part.fine
    edges = rows * sum(np.hypot(*np.gradient(colour[..., k])) for k in range(3))
    return Scene(colour, region, flow, np.clip(edges / 8, 0, 1), fine)


class Canvas:
    """Wet paint: a colour and a height at every pixel."""

    def __init__(self, ground: Array, height: Array) -> None:
        self.colour, self.height = ground, height

    def stroke(self, rng: np.random.Generator, path: Array, width: float, lab: Array, other: Array) -> None:
        """Lay one stroke along path (N×2 points x, y), path and width in pixels, of colour lab streaked with other."""
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        nu, nv = int(length / 0.62) + 2, int(width / 0.62) + 3
        u, v = np.linspace(0, 1, nu)[:, None], np.linspace(-1, 1, nv)[None, :]
        spine, along = hat_weights(nu, len(path)) @ path, hat_weights(nu, len(path)) @ np.gradient(path, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        hairs = max(4, round(width / 2.6))
        bristle = np.repeat(cloud(rng, (1, nv), (2, hairs)), nu, axis=0) + 0.55 * cloud(rng, (nu, nv), (5, hairs))
        streak = cloud(rng, (nu, nv), (3, max(3, hairs // 2)))

        head, tail = np.clip(u * length / (0.5 * width), 0, 1), np.clip((1 - u) * length / (1.2 * width), 0, 1)
        half = 0.5 * width * np.sqrt(1 - 0.85 * (1 - head) ** 2) * np.sqrt(1 - 0.7 * (1 - tail) ** 2)
        ragged = 0.25 * width * bristle * np.where(u > 0.5, 1.6 * (u - 0.5), 0.5 * (0.5 - u))
        column = np.rint(spine[:, :1] - along[:, 1:] * v * half + along[:, :1] * ragged).astype(int)
        row = np.rint(spine[:, 1:] + along[:, :1] * v * half + along[:, 1:] * ragged).astype(int)

        load = 1.25 - 1.05 * u + 0.55 * bristle  # paint left on each hair; where it runs out the ground shows through
        cover = np.clip(3 * load, 0, 1) * np.clip((1 - np.abs(v)) * 0.25 * width, 0, 1)
        rims = 0.40 * np.exp(-(((np.abs(v) - 0.86) / 0.12) ** 2)) + 0.5 * np.exp(-((u / 0.05) ** 2))
        thick = 0.11 * width**0.75 * np.clip(0.55 + 0.30 * bristle + rims, 0.05, 1.8) * (1 - v**6)
        mix = np.clip(0.22 + 0.26 * streak, 0, 0.8)[..., None]
        paint = lab + mix * (other - lab) + bristle[..., None] * (0.022, 0, 0)

        rows, cols = self.height.shape
        inside = (column >= 0) & (row >= 0) & (column < cols) & (row < rows) & (cover > 0)
        at, opaque = (row[inside], column[inside]), cover[inside]
        self.colour[at] += opaque[:, None] * (paint[inside] - self.colour[at])
        self.height[at] += opaque * (0.45 * self.height[at] + thick[inside] - self.height[at])


def trace(scene: Scene, start: Array, length: float, step: float) -> Array:
    """Return the points (picture heights) of a stroke through start that follows the flow and stays in its region."""
    home, halves = scene.region[scene.cell(start)], []
    for sign in (-1, 1):
        heading = sign * scene.flow[scene.cell(start)]
        points = [start + 0.5 * step * heading]  # even where there is no room for more, a dab
        for _ in range(round(0.5 * length / step)):
            ahead = scene.flow[scene.cell(points[-1])]
            heading = 0.5 * heading + 0.5 * (ahead if ahead @ heading >= 0 else -ahead)
            point = points[-1] + step * heading
            if scene.region[scene.cell(point)] != home:
                break
            points.append(point)
        halves.append(points)
    return np.array(halves[0][::-1] + halves[1])


def lay_strokes(rng: np.random.Generator, scene: Scene, canvas: Canvas) -> None:
    """Paint the scene with every brush, large to small; before the small ones, cover what is still bare."""
    pixels = canvas.height.shape[0]

    def lay(start: Array, width: float, lengths: float) -> None:
        size, way = rng.random(2)
        path = trace(scene, start, width * lengths * (0.6 + 0.8 * size), width * 0.4)[:: 1 if way < 0.5 else -1]
        lab = scene.colour[scene.cell(start)] + (0.10, 0.045, 0.045) * rng.uniform(-1, 1, 3)
        other = scene.colour[scene.cell(path[-1])] + (0.10, 0.03, 0.03) * rng.standard_normal(3)
        canvas.stroke(rng, path * pixels, width * pixels * (0.7 + 0.6 * size), lab, other)

    for number, (width, lengths, coverage, attraction) in enumerate(BRUSHES):
        for _ in range(int(coverage * ASPECT / (width * width * lengths))):
            start = rng.random(2) * (ASPECT, 1.0)
            cell = scene.cell(start)
            if rng.random() > attraction * (1 - scene.detail[cell]):
                lay(start, width * scene.fine[cell] ** 0.5, lengths * scene.fine[cell])
        if number == 2:
            for row, column in rng.permutation(np.argwhere(canvas.height == 0)):
                if canvas.height[row, column] == 0:
                    lay(np.array([column, row]) / pixels, width, lengths)


def blurred(field: Array, radius: int) -> Array:
    """Return the field averaged over squares of 2·radius + 1."""
    size = 2 * radius + 1
    for _ in range(2):
        total = np.cumsum(np.pad(field, ((radius + 1, radius), (0, 0)), mode="edge"), axis=0)
        field = ((total[size:] - total[:-size]) / size).T  # down the columns, then along the rows
    return field


def light(canvas: Canvas, scale: float) -> Array:
    """Return linear RGB of the paint under a raking light from the upper left, scale in pixels per 1/1024 height."""
    height = blurred(blurred(canvas.height, 1), 1)
    weave = np.prod(np.sin(np.indices(height.shape) * np.pi / (3.6 * scale)), axis=0)
    down, right = np.gradient(2.8 * height + 0.16 * scale * weave * np.exp(-height / (1.5 * scale)))
    normal = np.stack([-right, -down, np.ones_like(height)], axis=-1) / np.sqrt(1 + right**2 + down**2)[..., None]
    sun = np.array(LIGHT) / np.linalg.norm(LIGHT)
    lit = np.clip(normal @ sun, 0, 1) / sun[2]
    halfway = (sun + np.array([0, 0, 1])) / np.sqrt(2 + 2 * sun[2])  # between the lamp and the eye
    gloss = np.clip(normal @ halfway, 0, 1) ** 40
    crevice = np.clip(1 + 0.035 * (height - blurred(height, round(6 * scale))) / scale, 0.75, 1.15)
    rgb = linear_from_lab(canvas.colour) * ((0.30 + 0.70 * lit) * crevice)[..., None]
    return np.asarray(np.clip(rgb + 0.05 * (gloss - halfway[2] ** 40)[..., None], 0, 1))


def draw(width: int) -> Image.Image:
    """Return the painting, width pixels wide and width / 1.25 high."""
    rng = np.random.default_rng(SEED)
    scene, rows, cols = compose(rng, 512), 2 * round(width / ASPECT), 2 * width
    ground = scene.colour[np.ix_(np.arange(rows) * 512 // rows, np.arange(cols) * 640 // cols)]
    canvas = Canvas(ground, np.zeros((rows, cols)))
    lay_strokes(rng, scene, canvas)
    rgb = light(canvas, rows / 1024)
    small = rgb.reshape(rows // 2, 2, width, 2, 3).mean(axis=(1, 3))
    srgb = np.where(small <= 0.0031308, small * 12.92, 1.055 * small ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(srgb * 255).astype(np.uint8))


def main() -> None:
    """Draw the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw the demo's painting.")
    parser.add_argument("output", type=Path, help="where the picture goes, e.g. src/impasto/data/painting.png")
    parser.add_argument("--width", type=int, default=600, help="pixels; the height is width / 1.25")
    options = parser.parse_args()
    draw(options.width).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
