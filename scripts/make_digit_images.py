"""Generate one split of the embedded experiment's images: handwritten digits on photographs.

In:  nothing but what scikit-learn ships: its 8×8 scans of handwritten digits and its two photographs.
Out: a folder <class>/<file>.png of RGB images, and beside it the same tree of masks (255 where the digit is).

Every image holds one digit (0.7 to 0.9 of the image's height, in a colour of clear contrast) over a crop of a
photograph, with two scraps of other digits as distractors below it. Scans and photographs are split, so that
neither a scan nor a photograph's pixel is both in train and in val.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range
from explanations.files.writing import whole_folder
from explanations.progress import progress

SPLITS = ("train", "val")
VAL_SHARE = 0.2  # of the scans of each class, and of each photograph's width
DIGIT_HEIGHT = (0.7, 0.9)  # of the image
SCRAP_HEIGHT = (0.3, 0.45)  # of the image; half of such a digit is shown
PHOTOGRAPH_CONTRAST = 0.5  # of the photograph as it is
CONTRAST = 110.0  # least distance in luminance between digit and background, of 255
CANDIDATES = 256  # colours drawn at a time
LUMINANCE = np.array([0.299, 0.587, 0.114])


def main(split: str, images: Path, masks: Path, count: int, size: int, scraps: int, seed: int) -> None:
    if split not in SPLITS:
        raise InputError(f"--split is {split}; allowed are {', '.join(SPLITS)}")
    check_range("--count", count, low=10)
    check_range("--size", size, low=16, high=256)
    check_range("--scraps", scraps, low=0)
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    scans, labels = split_scans(split, seed)
    photographs = [split_photograph(photograph, split) for photograph in load_sample_images().images]
    painted = paint_images(scans, labels, photographs, count, size, scraps, rng)
    with whole_folder(masks) as new_masks, whole_folder(images) as new_images:
        for index, (label, *pictures) in enumerate(progress(painted, f"{split} images", count, "image")):
            for folder, pixels in zip((new_images / images.name, new_masks / masks.name), pictures, strict=True):
                path = folder / str(label) / f"{index:06d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path, compress_level=1)


def paint_images(
    scans: np.ndarray,
    labels: np.ndarray,
    photographs: list[np.ndarray],
    count: int,
    size: int,
    scraps: int,
    rng: np.random.Generator,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Labels, (size, size, 3) images and (size, size) masks, both uint8, from (n, 8, 8) scans with (n,) labels."""
    for index in range(count):
        label = index % 10  # the classes are balanced
        canvas = crop(photographs[rng.integers(len(photographs))], size, rng)
        for _ in range(scraps):
            other = scans[rng.choice(np.flatnonzero(labels != label))]
            canvas, _ = paint(canvas, scrap(other, rng), rng, SCRAP_HEIGHT)
        canvas, alpha = paint(canvas, scans[rng.choice(np.flatnonzero(labels == label))], rng, DIGIT_HEIGHT)
        yield label, canvas.round().astype(np.uint8), (255 * (alpha > 0.5)).astype(np.uint8)


def split_scans(split: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The (n, 8, 8) scans of one split, in [0, 1], and their (n,) labels; the same split for every call's size."""
    digits = load_digits()
    rng = np.random.default_rng(seed)
    chosen = []
    for label in range(10):
        scans = rng.permutation(np.flatnonzero(digits.target == label))
        val = round(VAL_SHARE * len(scans))
        chosen.append(scans[:val] if split == "val" else scans[val:])
    chosen = np.concatenate(chosen)
    return digits.images[chosen] / 16, digits.target[chosen]


def split_photograph(photograph: np.ndarray, split: str) -> np.ndarray:
    """The part of a (H, W, 3) photograph that belongs to a split: its right edge is val's."""
    edge = round((1 - VAL_SHARE) * photograph.shape[1])
    return photograph[:, edge:] if split == "val" else photograph[:, :edge]


def crop(photograph: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random (size, size, 3) float window of a photograph, its contrast lowered."""
    top, left = (rng.integers(length - size + 1) for length in photograph.shape[:2])
    window = photograph[top : top + size, left : left + size].astype(float)
    mean = window.mean((0, 1))
    return mean + PHOTOGRAPH_CONTRAST * (window - mean)


def scrap(scan: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scan of which one half, left, right, upper or lower, is blank."""
    scan = scan.copy()
    half = [np.s_[:4], np.s_[4:], np.s_[:, :4], np.s_[:, 4:]][rng.integers(4)]
    scan[half] = 0
    return scan


def paint(
    canvas: np.ndarray, scan: np.ndarray, rng: np.random.Generator, heights: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Blend a scan, enlarged and at a random position, into a (size, size, 3) canvas; also its (size, size) opacity."""
    size = len(canvas)
    side = round(rng.uniform(*heights) * size)
    top, left = rng.integers(size - side + 1, size=2)
    grown = Image.fromarray((255 * scan).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    alpha = np.zeros((size, size))
    alpha[top : top + side, left : left + side] = np.clip(np.asarray(grown) / 255 * 1.6 - 0.3, 0, 1)
    background = canvas[top : top + side, left : left + side].mean((0, 1)) @ LUMINANCE
    colour = contrasting_colour(background, rng)
    return canvas * (1 - alpha[..., None]) + colour * alpha[..., None], alpha


def contrasting_colour(luminance: float, rng: np.random.Generator) -> np.ndarray:
    """A random RGB colour at least CONTRAST away from a luminance."""
    while True:
        colours = rng.uniform(0, 255, (CANDIDATES, 3))
        fitting = np.abs(colours @ LUMINANCE - luminance) >= CONTRAST
        if fitting.any():
            return colours[fitting.argmax()]


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--split", required=True, help="train or val")
    parser.add_argument("--images", type=Path, required=True, help="folder to write: images")
    parser.add_argument("--masks", type=Path, required=True, help="folder to write: the digits' masks")
    parser.add_argument("--count", type=int, required=True, help="number of images, over all ten classes")
    parser.add_argument("--size", type=int, default=48, help="height and width in pixels")
    parser.add_argument("--scraps", type=int, default=2, help="distractors in each image")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
