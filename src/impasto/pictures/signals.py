"""Colours that a file names by numbers: code points of ITU-T H.273 (HEIC, AVIF, cICP in PNG), or PNG's gAMA and cHRM.

All become sRGB; what is brighter than its white (PQ, HLG) is rolled off softly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Signal", "declared", "to_srgb"]

Floats = NDArray[np.float32]
Signal = tuple[tuple[float, ...], int | float]  # x and y of white, red, green, blue; transfer code, or a gamma (float)

D65 = (0.3127, 0.3290)
SRGB = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES = {  # H.273, table 2
    1: SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
LIKE_SRGB = (1, 2, 6, 13, 14, 15)  # transfer codes that every viewer shows as sRGB
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # transfer codes that are plain powers
PQ, HLG = 16, 18
PAPER = 203.0  # candela per square metre of a sheet of white paper in PQ and HLG (ITU-R BT.2408)
KNEE = 0.75  # linear light up to here is kept; what is brighter is rolled off towards 1
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
BAND = 2**20  # pixels converted at a time


def declared(info: Mapping[Any, Any], label: str, notices: list[str]) -> Signal | None:
    """What a Pillow image's `info` says of its colours by numbers; None where that is sRGB, or nothing.

    A colour profile comes first, unless there are code points in a PNG ("cicp"), which come before it.
    """
    if codes := info.get("cicp"):
        return _named(codes[0], codes[1], label, notices)
    if info.get("icc_profile"):
        return None
    if nclx := info.get("nclx_profile"):
        return _named(nclx["color_primaries"], nclx["transfer_characteristics"], label, notices)
    gamma, primaries = info.get("gamma"), info.get("chromaticity")
    if info.get("srgb") is not None or not (gamma or primaries):
        return None
    primaries = tuple(primaries) if primaries else SRGB
    if len(primaries) != 8 or not _usable(primaries) or (gamma and not 0.1 <= gamma <= 5):
        notices.append(f"{label}: its gamma or primaries cannot be used and are ignored")
        return None
    gamma = gamma or 1 / 2.2  # which is how PNG says sRGB in short
    return _unless_srgb((primaries, 13 if abs(gamma - 1 / 2.2) < 0.005 else 1 / gamma))


def to_srgb(values: NDArray[Any], signal: Signal, label: str, notices: list[str]) -> NDArray[np.uint16]:
    """Samples H×W×1…4 (uint8, uint16 or float 0…1) of a signal as sRGB at 16 bits; alpha stays as it is."""
    primaries, transfer = signal
    if transfer in (PQ, HLG):
        kind = "PQ" if transfer == PQ else "HLG"
        notices.append(f"{label}: is an HDR picture ({kind}); what is brighter than white is rolled off")
    matrix = (np.linalg.inv(_to_xyz(SRGB)) @ _to_xyz(primaries)).astype(np.float32)
    colours = 3 if values.shape[2] >= 3 else 1
    white = float(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else 1.0
    result = np.empty(values.shape, np.uint16)
    rows = max(1, BAND // max(1, values.shape[1]))
    for top in range(0, values.shape[0], rows):
        part = values[top : top + rows].astype(np.float32) / np.float32(white)
        light = _linear(part[..., :colours], transfer)
        if colours == 3:
            light = light @ matrix.T
        if transfer in (PQ, HLG):
            light = _rolled_off(light)
        part[..., :colours] = _encoded(light)
        result[top : top + rows] = part * 65_535 + 0.5
    return result


def _named(primaries: int, transfer: int, label: str, notices: list[str]) -> Signal | None:
    if transfer not in (*LIKE_SRGB, *GAMMAS, PQ, HLG) or primaries not in (2, *PRIMARIES):
        notices.append(f"{label}: its colours (H.273 {primaries}/{transfer}) are not known; taken as sRGB")
        return None
    return _unless_srgb((PRIMARIES.get(primaries, SRGB), GAMMAS.get(transfer, transfer)))


def _unless_srgb(signal: Signal) -> Signal | None:
    primaries, transfer = signal
    near = max(abs(a - b) for a, b in zip(primaries, SRGB, strict=True)) < 0.002
    return None if near and transfer in LIKE_SRGB and not isinstance(transfer, float) else signal


def _usable(primaries: tuple[float, ...]) -> bool:
    points = np.array(primaries, dtype=float).reshape(4, 2)
    area = np.linalg.det(np.column_stack([points[1:], np.ones(3)]))
    return bool(np.isfinite(points).all() and (points[:, 1] > 0.001).all() and abs(points).max() <= 2 and area > 0.001)


def _to_xyz(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix from linear RGB to XYZ, its white moved to D65 by Bradford's way."""
    x, y = np.array(primaries, dtype=float).reshape(4, 2).T
    points = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    matrix = points[:, 1:] * np.linalg.solve(points[:, 1:], points[:, 0])
    there = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    cones = (BRADFORD @ there) / (BRADFORD @ points[:, 0])
    moved: NDArray[np.float64] = np.linalg.solve(BRADFORD, cones[:, None] * (BRADFORD @ matrix))
    return moved


def _linear(signal: Floats, transfer: int | float) -> Floats:
    """Linear light of a signal 0…1; 1 is white, PQ and HLG go beyond."""
    if isinstance(transfer, float):
        light = signal**transfer
    elif transfer == PQ:  # SMPTE ST 2084
        root = signal ** (32 / 2523)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610) * (10_000 / PAPER)
    elif transfer == HLG:  # ITU-R BT.2100, on a display of 1000 candela per square metre
        low, high = signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        scene = np.where(signal <= 0.5, low, high)
        weights = np.array([0.2627, 0.6780, 0.0593] if signal.shape[2] == 3 else [1.0], np.float32)
        light = scene * np.maximum(scene @ weights, 1e-6)[..., None] ** 0.2 * (1000 / PAPER)
    else:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32, copy=False)


def _rolled_off(light: Floats) -> Floats:
    """The brightest channel led towards 1 beyond the knee, the others with it, so that hues stay."""
    peak = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    lower = KNEE + (1 - KNEE) * (1 - np.exp((KNEE - peak) / (1 - KNEE)))
    return (light * np.where(peak > KNEE, lower / peak, 1)).astype(np.float32)


def _encoded(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055).astype(np.float32)
