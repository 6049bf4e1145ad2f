"""Planted evidence: patches that alone say the class of an image, so that it is known where the evidence is.

A patch is a square of 4×4 black and white cells, opaque. The ten classes' patterns have eight white cells each: they
differ in how cells are arranged, not in their mean, and so do the white cells alone and the black ones alone, wherever
the others can't be told from what is behind them.
"""

import numpy as np

_ROWS = (  # four cells a row, # white
    *("#### .... #### ....", "#.#. #.#. #.#. #.#.", "#.#. .#.# #.#. .#.#"),  # stripes, fine checks
    *("#### #### .... ....", "##.. ##.. ##.. ##..", "##.. ##.. ..## ..##"),  # halves, coarse checks
    *("##.. .##. ..## #..#", "#..# ..## .##. ##.."),  # diagonals
    *("#..# .##. .##. #..#", ".##. #..# #..# .##."),  # a cross, a ring
)
PATTERNS = np.array([[[cell == "#" for cell in row] for row in rows.split()] for rows in _ROWS])  # (10, 4, 4)
WHITE = 255.0


def plant(
    scene: np.ndarray, pattern: np.ndarray, rng: np.random.Generator, sides: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A (size, size, 3) scene with a patch in it, and where that is, (size, size) bool.

    Its side, between two shares of the scene's, and its place are drawn, whatever the pattern and the scene are.
    """
    size = len(scene)
    side = round(rng.uniform(*sides) * size)
    top, left = rng.integers(size - side + 1, size=2)
    square = np.s_[top : top + side, left : left + side]
    cells = np.arange(side) * len(pattern) // side
    planted, shown = scene.copy(), np.zeros((size, size), bool)
    planted[square] = WHITE * pattern[np.ix_(cells, cells)][..., None]
    shown[square] = True
    return planted, shown
