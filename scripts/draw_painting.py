"""Draw the demo's painting: an evening valley in thick strokes, made from nothing but numbers.

    python scripts/draw_painting.py src/impasto/data/painting.png

An underpainting of a few simple shapes gives every place a colour and a direction; several thousand curved strokes,
large to small, are laid over it, each with its own bristles, colour and relief; a raking light then falls on the paint.
Everything is drawn at twice the size and averaged down. The same seed gives the same picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]

ASPECT = 1.25  # width / height; coordinates below are in picture heights, x 0 … 1.25 to the right, y 0 … 1 down
SUN = (0.80, 0.30, 0.085)  # x, y, radius
TREES = ((0.15, 0.545, 0.115), (0.305, 0.615, 0.070), (1.09, 0.655, 0.085), (0.93, 0.615, 0.035))
VANISHING = (0.62, 0.50)  # where the furrows of the fields meet

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
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(knots)))


def cloud(rng: np.random.Generator, shape: tuple[int, int], knots: tuple[int, int]) -> Array:
    """Return a smooth random field of unit spread."""
    field = hat_weights(shape[0], knots[0]) @ rng.standard_normal(knots) @ hat_weights(shape[1], knots[1]).T
    return np.asarray(field)


class Scene(NamedTuple):
    """The underpainting: what every place should look like, on a coarse grid."""

    colour: Array  # H×W×3 OKLab
    region: npt.NDArray[np.int64]  # H×W, strokes do not cross from one to another
    flow: Array  # H×W×2, unit vectors (x, y)
    detail: Array  # H×W, 0 … 1


def ridge(x: Array, base: float, *waves: tuple[float, float, float]) -> Array:
    """Return the height of a hill line: base plus waves of (amplitude, frequency, phase)."""
    return base + sum(a * np.sin(f * x + p) for a, f, p in waves)


def compose(rng: np.random.Generator, rows: int) -> Scene:
    """Return the underpainting, from back to front; each part brings a mask, a colour and contour lines to follow."""
    cols = round(rows * ASPECT)
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(cols) + 0.5) / rows, indexing="ij")
    wobble = 0.06 * cloud(rng, (rows, cols), (9, 11))
    sun = np.hypot(x - SUN[0], y - SUN[1])
    far = ridge(x, 0.49, (0.035, 5.2, 0.6), (0.012, 13.0, 2.0))
    middle = ridge(x, 0.575, (0.040, 4.1, 3.1), (0.010, 11.0, 0.5))
    near = ridge(x, 0.66, (0.045, 3.4, 5.0))
    bank = ridge(x, 0.93, (0.05, 2.7, 2.2), (0.02, 7.0, 0.0))
    depth = np.maximum(y - 0.62, 0)
    river = 0.56 + 1.5 * depth * np.sin(9.5 * depth + 0.4)
    furrow = (x - VANISHING[0]) / (y - VANISHING[1] + 0.12)

    slant = 0.80 * y + 0.42 * x + 0.030 * np.sin(7.0 * x - 3.0 * y) + wobble
    cloudy = np.sin(17 * (y + 0.20 * x) + 40 * wobble) + 0.6 * np.sin(9 * (x - 0.5 * y) + 3)
    sky = ramp(
        0.08 + 1.05 * y + 0.30 * np.exp(-((sun / 0.30) ** 2)) + 0.13 * cloudy,
        "ultramarine", "cobalt", "cobalt", "pale", "cream", "cream", "gold", "rose",
    )
    parts: list[tuple[npt.NDArray[np.bool_], Array, Array]] = [
        (y > -1, sky, slant),
        (sun < SUN[2], ramp(0.5 + 0.6 * (slant - SUN[1] * 0.8 - SUN[0] * 0.42) / SUN[2], "gold", "vermilion", "vermilion", "crimson"), slant),
        (y > far, ramp(6 * (y - far) + 3 * wobble, "cobalt", "ultramarine", "plum", "ultramarine"), y - far + 0.5 * x + wobble),
        (y > middle, ramp(7 * (y - middle) + 4 * wobble, "teal", "cobalt", "ink", "plum"), y - middle - 0.25 * x),
        (y > near, ramp(0.5 + 0.5 * np.sin(12 * furrow + 25 * wobble), "crimson", "vermilion", "ochre", "gold", "cream"), furrow),
        (
            (np.abs(x - river) < 0.010 + 0.30 * depth) & (y > near),
            ramp(0.5 + 0.3 * np.sin(60 * y + 40 * wobble) + 0.3 * np.sin(14 * x), "ink", "ultramarine", "cobalt", "pale", "cream"),
            y + wobble,
        ),
        (y > bank, ramp(6 * (y - bank) + 6 * wobble, "olive", "ink", "teal", "ink"), (x + 0.3 * y + wobble)),
    ]  # fmt: skip
    for cx, cy, radius in TREES:
        crown = np.hypot(x - cx, (y - cy) * 0.9) / radius + 5 * wobble
        lit = (-(x - cx) * 0.6 - (y - cy)) / radius
        trunk = (np.abs(x - cx) < 0.09 * radius) & (y > cy) & (y < cy + 1.5 * radius)
        parts.append((trunk, ramp(0.5 + 2 * wobble, "ink", "plum"), x))
        fan = (x - cx) / np.maximum(cy + 1.6 * radius - y, 0.01)
        parts.append((crown < 1, ramp(0.40 + 0.40 * lit + 3 * wobble, "ink", "ink", "teal", "olive", "gold"), fan))

    colour = np.zeros((rows, cols, 3))
    region = np.zeros((rows, cols), dtype=np.int64)
    flow = np.zeros((rows, cols, 2))
    for number, (mask, paint, lines) in enumerate(parts):
        down, right = np.gradient(lines)
        along = np.stack([down, -right], axis=-1)
        along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
        colour[mask], region[mask], flow[mask] = paint[mask], number, along[mask]
    edges = sum(np.hypot(*np.gradient(colour[..., k])) for k in range(3)) * rows
    detail = np.clip(edges / 8, 0, 1)
    return Scene(colour, region, flow, detail)


class Canvas:
    """Wet paint: a colour and a height at every pixel."""

    def __init__(self, ground: Array, height: Array) -> None:
        self.colour, self.height = ground, height

    def stroke(self, rng: np.random.Generator, path: Array, width: float, lab: Array, other: Array) -> None:
        """Lay one stroke along path (N×2 points x, y in pixels), width in pixels, from colour lab with streaks of other."""
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        nu, nv = int(length / 0.62) + 2, int(width / 0.62) + 3
        u, v = np.linspace(0, 1, nu)[:, None], np.linspace(-1, 1, nv)[None, :]
        spine = hat_weights(nu, len(path)) @ path
        along = hat_weights(nu, len(path)) @ np.gradient(path, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        hairs = max(4, round(width / 2.6))
        bristle = np.repeat(cloud(rng, (1, nv), (2, hairs)), nu, axis=0) + 0.55 * cloud(rng, (nu, nv), (5, hairs))
        streak = cloud(rng, (nu, nv), (3, max(3, hairs // 2)))

        half = 0.5 * width * np.clip(u / 0.08 + 0.45, 0, 1) ** 0.5 * np.clip((1 - u) / 0.45 + 0.35, 0, 1) ** 0.6
        ragged = (0.5 * width * 0.5) * bristle * np.where(u > 0.5, u - 0.5, 0.25 * (0.5 - u))
        px = spine[:, :1] - along[:, 1:] * v * half + along[:, :1] * ragged
        py = spine[:, 1:] + along[:, :1] * v * half + along[:, 1:] * ragged
        column, row = np.rint(px).astype(np.int64), np.rint(py).astype(np.int64)

        load = 1.25 - 1.05 * u + 0.55 * bristle  # paint left on each hair; where it runs out the ground shows through
        cover = np.clip(3 * load, 0, 1) * np.clip((1 - np.abs(v)) * 0.25 * width, 0, 1)
        body = 0.55 + 0.30 * bristle + 0.40 * np.exp(-(((np.abs(v) - 0.86) / 0.12) ** 2)) + 0.5 * np.exp(-((u / 0.05) ** 2))
        thick = 0.11 * width**0.75 * np.clip(body, 0.05, 1.8) * (1 - v**6)
        mix = np.clip(0.22 + 0.26 * streak, 0, 0.8)[..., None]
        paint = lab + mix * (other - lab) + np.stack([0.022 * bristle, 0 * bristle, 0 * bristle], axis=-1)

        inside = (column >= 0) & (row >= 0) & (column < self.height.shape[1]) & (row < self.height.shape[0]) & (cover > 0)
        at = (row[inside], column[inside])
        opaque = cover[inside]
        self.colour[at] += opaque[:, None] * (paint[inside] - self.colour[at])
        self.height[at] += opaque * (0.45 * self.height[at] + thick[inside] - self.height[at])


def trace(scene: Scene, start: Array, length: float, step: float) -> Array:
    """Return the points (picture heights) of a stroke that follows the flow and stays in its region."""
    rows, cols = scene.region.shape

    def cell(point: Array) -> tuple[int, int]:
        return min(max(int(point[1] * rows), 0), rows - 1), min(max(int(point[0] * rows), 0), cols - 1)

    home, points, heading = scene.region[cell(start)], [start], scene.flow[cell(start)]
    for _ in range(round(length / step)):
        ahead = scene.flow[cell(points[-1])]
        ahead = ahead if ahead @ heading >= 0 else -ahead
        heading = 0.5 * heading + 0.5 * ahead
        point = points[-1] + step * heading
        if scene.region[cell(point)] != home:
            break
        points.append(point)
    return np.array(points)


def lay_strokes(rng: np.random.Generator, scene: Scene, canvas: Canvas) -> None:
    """Paint the scene with every brush, large to small."""
    pixels = canvas.height.shape[0]
    rows = scene.region.shape[0]
    for width, lengths, coverage, attraction in BRUSHES:
        wanted = int(coverage * ASPECT / (width * width * lengths))
        for _ in range(wanted):
            start = rng.random(2) * (ASPECT, 1.0)
            r, c = int(start[1] * rows), int(start[0] * rows)
            skip, size, lightness, warm, hue, way = rng.random(6)
            if skip > 1 - attraction * (1 - scene.detail[r, c]):
                continue
            if way < 0.5:
                scene.flow[r, c] *= -1
            path = trace(scene, start, width * lengths * (0.6 + 0.8 * size), width * 0.4)
            if len(path) < 3:
                continue
            lab = scene.colour[r, c] + np.array([0.10, 0.045, 0.045]) * (np.array([lightness, warm, hue]) - 0.5) * 2
            end = path[-1] * rows
            other = scene.colour[min(max(int(end[1]), 0), rows - 1), min(max(int(end[0]), 0), scene.region.shape[1] - 1)]
            other = other + np.array([0.10, 0.03, 0.03]) * rng.standard_normal(3)
            canvas.stroke(rng, path * pixels, width * pixels * (0.7 + 0.6 * size), lab, other)


def blurred(field: Array, radius: int) -> Array:
    """Return the field averaged over squares of 2·radius + 1."""
    for axis in (0, 1):
        pad = [(radius + 1, radius) if k == axis else (0, 0) for k in (0, 1)]
        total = np.cumsum(np.pad(field, pad, mode="edge"), axis=axis)
        size = 2 * radius + 1
        field = (np.take(total, range(size, total.shape[axis]), axis) - np.take(total, range(total.shape[axis] - size), axis)) / size
    return field


def light(canvas: Canvas, scale: float) -> Array:
    """Return linear RGB of the paint under a raking light from the upper left, scale in pixels per 1/1024 height."""
    height = blurred(canvas.height, 1)
    rows, cols = np.indices(height.shape)
    weave = np.sin(rows * np.pi / (2.6 * scale)) * np.sin(cols * np.pi / (2.6 * scale))
    down, right = np.gradient(height + 0.12 * scale * weave)
    normal = np.stack([-right, -down, np.ones_like(height)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    sun = np.array([-0.55, -0.62, 0.9]) / np.linalg.norm([-0.55, -0.62, 0.9])
    lit = np.clip(normal @ sun, 0, 1) / sun[2]
    halfway = (sun + [0, 0, 1]) / np.linalg.norm(sun + [0, 0, 1])
    gloss = np.clip(normal @ halfway, 0, 1) ** 40
    crevice = np.clip(1 + 0.035 * (height - blurred(height, round(6 * scale))) / scale, 0.75, 1.15)
    rgb = linear_from_lab(canvas.colour) * ((0.30 + 0.70 * lit) * crevice)[..., None]
    return np.clip(rgb + 0.05 * (gloss - halfway[2] ** 40)[..., None], 0, 1)


def draw(width: int = 640, seed: int = 7) -> Image.Image:
    """Return the painting, width pixels wide and width / 1.25 high."""
    rng = np.random.default_rng(seed)
    scene = compose(rng, 512)
    rows = 2 * round(width / ASPECT)
    pick = (np.arange(rows) * 512) // rows
    pick_x = (np.arange(2 * width) * 640) // (2 * width)
    canvas = Canvas(scene.colour[np.ix_(pick, pick_x)].copy(), np.zeros((rows, 2 * width)))
    lay_strokes(rng, scene, canvas)
    rgb = light(canvas, rows / 1024)
    small = rgb.reshape(rows // 2, 2, width, 2, 3).mean(axis=(1, 3))
    srgb = np.where(small <= 0.0031308, small * 12.92, 1.055 * small ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(srgb * 255).astype(np.uint8))


def main() -> None:
    """Draw the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw the demo's painting.")
    parser.add_argument("output", type=Path, help="where the picture goes, e.g. src/impasto/data/painting.png")
    parser.add_argument("--width", type=int, default=640, help="pixels; the height is width / 1.25")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    draw(options.width, options.seed).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
