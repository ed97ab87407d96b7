"""What LAA-Net learns to draw, from where the seam of a blend runs: its vulnerable points, and who is equally blended.

Source: Nguyen et al., "LAA-Net", CVPR 2024; the radius: Law & Deng, "CornerNet", ECCV 2018.
"""

import math

import numpy as np

CELLS = 96
"""Cells a side of both maps for a face of 384 px; four pixels are one cell."""
OVERLAP = 0.7
ON_SEAM = 128
"""Of 255: from here on a cell counts for the width of the seam."""


def quadrants(side: int) -> list[tuple[slice, slice]]:
    """The four quarters of a map."""
    halves = (slice(0, side // 2), slice(side // 2, side))
    return [(rows, columns) for rows in halves for columns in halves]


def vulnerable_points(seam: np.ndarray) -> np.ndarray:
    """Rows and columns int64 (n, 2) of the cells that reach the maximum of their quadrant, where that is above 0.

    Args:
        seam: uint8 (H, W), 255 where both pictures weigh alike.
    """
    found = []
    for rows, columns in quadrants(len(seam)):
        part = seam[rows, columns]
        if part.any():
            found.append(np.argwhere(part == part.max()) + np.array([rows.start, columns.start]))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def heatmap(seam: np.ndarray) -> np.ndarray:
    """float32 (H, W) in [0, 1]: a Gaussian on each vulnerable point, as wide as the seam is there; the largest counts.

    Corners of a Gaussian's window are cut to whole cells, which may move it by one cell up and left, as published.
    """
    drawn = np.zeros(seam.shape, np.float32)
    for row, column in vulnerable_points(seam).tolist():
        spread = radius(*thickness(seam, row, column)) / 3 + 1e-4
        reach, middle = 3 * spread, math.floor(3 * spread + 0.5)
        top, left = int(row - reach), int(column - reach)
        rows = np.arange(max(0, top), min(len(seam), int(row + reach + 1)))
        columns = np.arange(max(0, left), min(seam.shape[1], int(column + reach + 1)))
        down, across = (rows - top - middle) ** 2, (columns - left - middle) ** 2
        blob = np.exp(-(down[:, None] + across) / (2 * spread**2))
        window = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.maximum(window, blob, out=window)
    return drawn


def consistency(seam: np.ndarray) -> np.ndarray:
    """uint8 (H, W): 255 less how far a cell is from the strongest of the map; 0 in quadrants without a point."""
    target = np.zeros_like(seam)
    for part in quadrants(len(seam)):
        if seam[part].any():
            target[part] = 255 - (seam.max() - seam[part])
    return target


def thickness(seam: np.ndarray, row: int, column: int) -> tuple[int, int]:
    """Cells of the seam met from a point up and down, and left and right; the point counts once for each direction."""

    def walk(line: np.ndarray) -> int:
        off = line <= ON_SEAM
        return int(off.argmax()) if off.any() else len(line)

    vertical = walk(seam[row::-1, column]) + walk(seam[row:, column])
    horizontal = walk(seam[row, column::-1]) + walk(seam[row, column:])
    return vertical, horizontal


def radius(height: float, width: float, overlap: float = OVERLAP) -> float:
    """How far both corners of a box may move such that it still overlaps itself so much; CornerNet's smallest case."""
    total, area = height + width, height * width
    inner = 4 * overlap**2 * total**2 + 16 * overlap * (1 - overlap) * area
    return (-2 * overlap * total + math.sqrt(inner)) / 2
