"""Generated photographs in the layouts of the data sets that hold real ones: mixed sizes, formats and modes."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

MODES = ("RGB", "RGB", "L", "RGB", "CMYK", "RGB")


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """A crop of one of scikit-learn's photographs, enlarged, with its colours changed."""
    rng = np.random.default_rng(seed)
    source = Image.fromarray(load_sample_images().images[seed % 2])
    side = int(rng.integers(120, 400))
    left, top = (int(rng.integers(0, length - side)) for length in source.size)
    crop = np.asarray(source.crop((left, top, left + side, top + side)).resize((width, height)), float)
    colours = rng.permutation(3)
    return Image.fromarray((crop[..., colours] * rng.uniform(0.6, 1, 3)).astype(np.uint8))


def write_photographs(folder: Path, classes: list[str], per_class: int, seed: int = 0) -> Path:
    """Write <class>/<file>.JPEG: widths and heights from 150 to 600, RGB, grey and CMYK, and PNG under JPEG's name."""
    rng = np.random.default_rng(seed)
    number = 0
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for _ in range(per_class):
            width, height = (int(side) for side in rng.integers(150, 600, 2))
            image = photograph(width, height, seed + number).convert(MODES[number % len(MODES)])
            kind = "PNG" if number % len(MODES) == 3 else "JPEG"  # as one of ImageNet's files is
            image.save(folder / name / f"ILSVRC2012_val_{number + 1:08d}.JPEG", kind)
            number += 1
    return folder
