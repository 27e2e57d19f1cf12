"""Synthetic recordings as OpenFace 2.x writes them.

Names, order, number format and padding are the tool's own, and the numbers move as its do: a face keeps its shape,
posture and resting gaze from session to session, so that people can be linked as they can in real data. How strong each
action unit is in a recording comes from the caller, as standard normal levels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sensai_release.table.synthetic_draws import Floats, smooth

FRAMES_PER_SECOND = 30

_RATED = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26", "45")
INTENSITIES = tuple(f"AU{number}_r" for number in _RATED)
_PRESENT = (*_RATED[:-1], "28", _RATED[-1])
# Usual level and spread over people of each intensity, 0 to 5; blinking lives from its pulses.
_INTENSITY_MEAN = np.array([0.3, 0.2, 0.7, 0.1, 0.5, 0.8, 0.2, 0.6, 0.5, 0.7, 0.3, 0.5, 0.2, 0.2, 0.6, 0.5, 0.15])
_INTENSITY_SD = 0.5 * _INTENSITY_MEAN + 0.05

_FOCAL = 800.0
_CENTRE = (640.0, 360.0)
_MODES = 34
_MODE_SD = 20.0 * 0.88 ** np.arange(_MODES)


@lru_cache(maxsize=1)
def openface_columns() -> tuple[str, ...]:
    """The 714 column names of OpenFace 2.x (FeatureExtraction, all outputs), in its order."""
    names = ["frame", "face_id", "timestamp", "confidence", "success"]
    names += [f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"] + ["gaze_angle_x", "gaze_angle_y"]
    names += [f"eye_lmk_{axis}_{point}" for axis in "xyXYZ" for point in range(56)]
    names += [f"pose_T{axis}" for axis in "xyz"] + [f"pose_R{axis}" for axis in "xyz"]
    names += [f"{axis}_{point}" for axis in "xyXYZ" for point in range(68)]
    names += ["p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"] + [f"p_{mode}" for mode in range(_MODES)]
    names += list(INTENSITIES) + [f"AU{number}_c" for number in _PRESENT]
    return tuple(names)


def openface_csv(levels: Floats, *, seed: int, person: int, session: int, seconds: int) -> bytes:
    """One recording as OpenFace 2.x writes it: 30 frames a second, 714 columns.

    `levels` are the 17 standard normal levels of `INTENSITIES` in this recording. Frames where the tracker fails come
    in runs, with success 0, low confidence and zeros.
    """
    own = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(person,)))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(person, session + 1)))
    frames = FRAMES_PER_SECOND * seconds
    # All traits of the person first, in a fixed order: they must not depend on what a session draws.
    shape, posture, glance, seat, blinks = (
        own.normal(0.0, _MODE_SD), own.normal(0.0, 0.08, 3), own.normal(0.0, 0.08, 2), own.normal(0.0, 20.0, 3),
        own.uniform(0.1, 0.5),
    )  # fmt: skip
    actions, present = _actions(rng, frames, levels, blinks)
    turn = posture + rng.normal(0.0, 0.03, 3) + 0.05 * smooth(rng, frames, 3)
    place = np.array([0.0, 0.0, 450.0]) + seat + rng.normal(0.0, 8.0, 3) + 5.0 * smooth(rng, frames, 3)
    modes = shape + (actions - actions.mean(axis=0)) @ _expression() + 0.3 * smooth(rng, frames, _MODES)
    points = _turned((_face() + modes @ _basis()).reshape(frames, 68, 3), turn) + place[:, None, :]
    gaze = glance + rng.normal(0.0, 0.04, 2) + 0.06 * smooth(rng, frames, 2)
    blocks: list[tuple[Floats, int, bytes]] = [
        (_gaze_vectors(gaze), 6, b",  "),
        (gaze, 3, b",  "),
        (_projected(rng, _eyes(points, gaze)), 1, b",  "),
        (place, 1, b",  "),
        (turn, 3, b",  "),
        (_projected(rng, points), 1, b",  "),
        (_weak_perspective(turn, place), 3, b",  "),
        (modes, 3, b",  "),
        (actions, 2, b", "),
        (present, 2, b", "),
    ]
    failed = _failures(rng, frames)
    number = np.arange(frames, dtype=np.float64)
    sure = np.where(failed, rng.uniform(0.0, 0.3, frames), rng.choice([0.98, 0.93, 0.88], frames, p=[0.9, 0.08, 0.02]))
    head = [
        (number[:, None] + 1, 0, b""),
        (np.zeros((frames, 1)), 0, b",  "),
        (number[:, None] / FRAMES_PER_SECOND, 3, b",  "),
        (sure[:, None], 2, b",  "),
        (np.where(failed, 0.0, 1.0)[:, None], 0, b",  "),
    ]
    for values, _, _ in blocks:
        values[failed] = 0.0
    return ", ".join(openface_columns()).encode() + b"\n" + fixed_lines([*head, *blocks])


def fixed_lines(blocks: list[tuple[Floats, int, bytes]]) -> bytes:
    """Lines of numbers with a fixed number of decimals: blocks of (values (rows, columns), decimals, text before each).

    All digits are computed at once as bytes, with zero bytes where nothing stands, which are then taken out: twenty
    times as fast as formatting cell by cell. Without their point, numbers must stay
    below 2**32.
    """
    rows = len(blocks[0][0])
    cells = [_fixed(values, decimals, before).reshape(rows, -1) for values, decimals, before in blocks]
    lines = np.concatenate([*cells, np.full((rows, 1), ord("\n"), dtype=np.uint8)], axis=1)
    written: bytes = lines[lines != 0].tobytes()
    return written


def _fixed(values: Floats, decimals: int, before: bytes) -> NDArray[np.uint8]:
    rest: NDArray[np.uint32] = np.rint(np.abs(values) * 10.0**decimals).astype(np.uint32)
    whole_digits = len(str(int(rest.max(initial=0)) // 10**decimals))
    start = len(before) + 1
    width = start + whole_digits + (decimals + 1 if decimals else 0)
    cell = np.zeros((*values.shape, width), dtype=np.uint8)
    cell[..., : len(before)] = np.frombuffer(before, dtype=np.uint8)
    cell[..., len(before)] = np.where((values < 0) & (rest > 0), ord("-"), 0)
    ten = np.uint32(10)
    if decimals:
        cell[..., start + whole_digits] = ord(".")
    for place in range(decimals):
        above = rest // ten
        cell[..., width - 1 - place] = (rest - above * ten) + ord("0")
        rest = above
    for place in range(whole_digits):
        above = rest // ten
        digit = (rest - above * ten) + ord("0")
        cell[..., start + whole_digits - 1 - place] = digit if place == 0 else np.where(rest > 0, digit, 0)
        rest = above
    return cell


def _actions(rng: np.random.Generator, frames: int, levels: Floats, blinks: float) -> tuple[Floats, Floats]:
    """Intensities (frames, 17) and presences (frames, 18) of the action units; `blinks` per second."""
    base = np.maximum(_INTENSITY_MEAN + _INTENSITY_SD * levels, 0.0)
    shared = smooth(rng, frames, 1)
    series = base * (1.0 + 0.4 * shared + 0.5 * smooth(rng, frames, 17)) + rng.normal(0.0, 0.04, (frames, 17))
    shuts = (rng.random(frames) < blinks / FRAMES_PER_SECOND).astype(np.float64)
    series[:, -1] += np.convolve(shuts, (0.6, 1.6, 2.4, 2.0, 1.2, 0.6, 0.2))[:frames]
    series = np.clip(series, 0.0, 5.0)
    judged = series + rng.normal(0.0, 0.15, (frames, 17)) > 1.0
    lip_suck = smooth(rng, frames, 1) > 1.8
    return series, np.concatenate([judged[:, :-1], lip_suck, judged[:, -1:]], axis=1).astype(np.float64)


def _failures(rng: np.random.Generator, frames: int) -> NDArray[np.bool_]:
    share = min(rng.exponential(0.02), 0.3)
    lost = max(1, int(share * frames))
    failed = np.zeros(frames, dtype=np.bool_)
    failed[np.argsort(smooth(rng, frames, 1)[:, 0], kind="stable")[-lost:]] = True
    return failed


@lru_cache(maxsize=1)
def _face() -> Floats:
    """A plain face of 68 points (the iBUG 300-W layout), in mm: x to the right, y down, z away from the camera."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 17)
    jaw = np.stack([75 * np.sin(angle), -12 + 92 * np.cos(angle), 70 * np.sin(angle) ** 2], axis=1)
    along = np.linspace(0.0, 1.0, 5)
    brow = np.stack([-60 + 42 * along, -48 - 8 * np.sin(np.pi * along), 18 - 18 * along], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(-30, 6, 4), np.linspace(-4, -24, 4)], axis=1)
    nostrils = np.stack(
        [np.linspace(-15, 15, 5), 15 + 3 * np.sin(np.pi * along), -6 - 6 * np.sin(np.pi * along)], axis=1
    )
    eye = _ring(6, 14, 5) + np.array([-32.0, -28.0, 10.0])
    mouth = np.concatenate([_ring(12, 26, 11), _ring(8, 20, 4)]) + np.array([0.0, 42.0, 2.0])
    mirror = np.array([-1.0, 1.0, 1.0])
    points = np.concatenate([jaw, brow, brow[::-1] * mirror, bridge, nostrils, eye, eye * mirror, mouth])
    return np.asarray(points.reshape(-1))


def _ring(points: int, width: float, height: float) -> Floats:
    angle = np.pi - 2 * np.pi * np.arange(points) / points
    return np.stack([width * np.cos(angle), -height * np.sin(angle), np.zeros(points)], axis=1)


@lru_cache(maxsize=1)
def _basis() -> Floats:
    """Orthonormal modes of shape (34, 204), the same for everybody."""
    made, _ = np.linalg.qr(np.random.default_rng(68).standard_normal((204, _MODES)))
    return np.asarray(made.T)


@lru_cache(maxsize=1)
def _expression() -> Floats:
    return 1.5 * np.random.default_rng(17).standard_normal((17, _MODES))


def _turned(points: Floats, angles: Floats) -> Floats:
    """Points (frames, n, 3) turned by angles (frames, 3) about x, y and z."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles).T, np.cos(angles).T
    rows = [
        [cy * cz, -cy * sz, sy],
        [cx * sz + cz * sx * sy, cx * cz - sx * sy * sz, -cy * sx],
        [sx * sz - cx * cz * sy, cz * sx + cx * sy * sz, cx * cy],
    ]
    matrices = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    return np.asarray(points @ matrices.transpose(0, 2, 1))


def _eyes(points: Floats, gaze: Floats) -> Floats:
    """56 landmarks (frames, 56, 3): iris, lids, pupil of each eye; iris and pupil follow the gaze."""
    rings = np.concatenate([_ring(8, 6, 6), _ring(12, 14, 5), _ring(8, 2.5, 2.5)])
    moves = np.repeat([1.0, 0.0, 1.0], [8, 12, 8])[:, None] * np.array([6.0, 6.0, 0.0])
    shift = np.concatenate([gaze, np.zeros((len(gaze), 1))], axis=1)[:, None, :] * moves
    left, right = (points[:, low : low + 6].mean(axis=1, keepdims=True) + rings + shift for low in (36, 42))
    return np.concatenate([left, right], axis=1)


def _projected(rng: np.random.Generator, points: Floats) -> Floats:
    """Columns x, y (pixels, with a little jitter), X, Y, Z (mm) of points (frames, n, 3), axis by axis."""
    depth = points[..., 2]
    pixels = [_CENTRE[axis] + _FOCAL * points[..., axis] / depth + rng.normal(0.0, 0.2, depth.shape) for axis in (0, 1)]
    return np.concatenate([*pixels, points[..., 0], points[..., 1], depth], axis=1)


def _gaze_vectors(gaze: Floats) -> Floats:
    """Unit vectors of both eyes (frames, 6), which converge a little."""
    vectors = []
    for converge in (0.04, -0.04):
        x, y = np.sin(gaze[:, 0] + converge), np.sin(gaze[:, 1])
        vectors += [x, y, -np.sqrt(np.maximum(1.0 - x**2 - y**2, 0.0))]
    return np.stack(vectors, axis=1)


def _weak_perspective(turn: Floats, place: Floats) -> Floats:
    scale = _FOCAL / place[:, 2]
    return np.column_stack([scale, turn + 0.01, _CENTRE[0] + scale * place[:, 0], _CENTRE[1] + scale * place[:, 1]])
