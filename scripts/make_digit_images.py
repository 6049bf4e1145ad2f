"""Generate one split of the embedded experiment's images: handwritten digits on photographs.

In:  nothing but what packages ship: scikit-learn's 8×8 scans of handwritten digits, its two photographs, matplotlib's.
Out: a folder <class>/<file>.png of RGB images, and beside it the same tree of masks (255 where the digit is, or the
     patch).

Every image holds one digit, a little turned and in a colour of clear contrast, over a part of a photograph whose scale,
hue and side change, with two scraps of other digits as distractors below it. Scans and photographs are split, so that
neither a scan nor a photograph's pixel is both in val and in another split. An image depends on the seed, its split and
its number alone: the first of many are those of few.

With planted evidence, a patch at a random place says the class (explanations.data.planted); the digit is any, drawn
without regard to it, as is all else.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import cbook
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from explanations.command import run_command, step_parser
from explanations.data.planted import PATTERNS, plant
from explanations.errors import InputError, check_range
from explanations.files.writing import whole_folder
from explanations.progress import progress

# start: as train, with large digits or patches, for networks that begin with these; tuning: as train, for decays
SPLITS = ("train", "val", "start", "tuning")
VAL_SHARE = 0.2  # of the scans of each class, and of each photograph's width
CLASSES = 10
DIGIT, LARGE_DIGIT, SCRAP = (0.3, 0.7), (0.75, 0.9), (0.2, 0.4)  # heights in shares of the image; large in split start
PATCH, LARGE_PATCH = (0.125, 0.17), (0.3, 0.5)  # sides in shares of the image, 12 to 16 pixels of 96; large in start
TURNED = 12.0  # degrees that digits and scraps are turned by at most
WINDOW = (64, 100)  # sides of photographs' parts in pixels; val's photographs are 102 pixels wide or more
FADED = 0.6  # of the photographs' own contrast
CONTRAST = 110.0  # least distance in luminance between digit and background, of 255
CANDIDATES = 256  # colours drawn at a time
LUMINANCE = np.array([0.299, 0.587, 0.114])
IN_A_TASK = 250  # images that a process paints at a time


@dataclass(frozen=True)
class Material:
    """What images of a split are made of: (n, 8, 8) scans in [0, 1], their (n,) labels, (H, W, 3) photographs.

    Digits are of heights between two shares of the image, and so are patches, of images with planted evidence.
    """

    scans: np.ndarray
    labels: np.ndarray
    photographs: list[np.ndarray]
    heights: tuple[float, float]
    patches: tuple[float, float] | None = None

    @classmethod
    def of_split(cls, split: str, seed: int, planted: bool = False) -> "Material":
        """The split's share of the scans, by seed, and of each photograph's width."""
        with cbook.get_sample_data("grace_hopper.jpg") as file:
            photographs = [*load_sample_images().images, np.asarray(Image.open(file).convert("RGB"))]
        parts = [split_photograph(photograph, split) for photograph in photographs]
        if planted:
            return cls(*split_scans(split, seed), parts, DIGIT, LARGE_PATCH if split == "start" else PATCH)
        return cls(*split_scans(split, seed), parts, LARGE_DIGIT if split == "start" else DIGIT)


def main(
    split: str,
    images: Path,
    masks: Path,
    count: int,
    size: int,
    scraps: int,
    seed: int,
    planted: bool = False,
    threads: int = 1,
) -> None:
    if split not in SPLITS:
        raise InputError(f"--split is {split}; allowed are {', '.join(SPLITS)}")
    check_range("--count", count, low=CLASSES)
    check_range("--size", size, low=16, high=256)
    check_range("--scraps", scraps, low=0)
    check_range("--threads", threads, low=1)
    material, source = Material.of_split(split, seed, planted), (seed, SPLITS.index(split))
    tasks = [range(start, min(start + IN_A_TASK, count)) for start in range(0, count, IN_A_TASK)]
    with whole_folder(masks) as new_masks, whole_folder(images) as new_images:
        folders = new_images / images.name, new_masks / masks.name
        for folder in folders:
            for label in range(CLASSES):
                (folder / str(label)).mkdir(parents=True, exist_ok=True)
        save = partial(save_images, material, source=source, size=size, scraps=scraps, folders=folders)
        with ProcessPoolExecutor(threads) as pool:
            done = map(save, tasks) if threads == 1 else pool.map(save, tasks)
            for _ in progress(done, f"{split} images", len(tasks), f"{IN_A_TASK} images"):
                pass


def save_images(
    material: Material, indices: range, source: tuple[int, int], size: int, scraps: int, folders: tuple[Path, Path]
) -> None:
    """Save some images and their masks in two folders, <class>/<number>.png."""
    for index, (label, *pictures) in zip(indices, paint_images(material, indices, source, size, scraps), strict=True):
        for folder, pixels in zip(folders, pictures, strict=True):
            Image.fromarray(pixels).save(folder / str(label) / f"{index:06d}.png", compress_level=1)


def paint_images(
    material: Material, indices: range, source: tuple[int, int], size: int, scraps: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Labels, (size, size, 3) images and (size, size) masks, both uint8; `source` are the seed and the split."""
    for index in indices:
        rng = np.random.default_rng([*source, index])
        label = index % CLASSES  # the classes are balanced
        if material.patches is None:
            canvas, shown = paint_digit(material, label, rng, size, scraps)
        else:
            scene, _ = paint_digit(material, int(rng.integers(CLASSES)), rng, size, scraps)
            canvas, shown = plant(scene, PATTERNS[label], rng, material.patches)
        yield label, canvas.round().astype(np.uint8), (255 * shown).astype(np.uint8)


def paint_digit(
    material: Material, digit: int, rng: np.random.Generator, size: int, scraps: int
) -> tuple[np.ndarray, np.ndarray]:
    """A digit over scraps of others, on a part of a photograph, (size, size, 3); where it is, (size, size) bool."""
    scans, labels = material.scans, material.labels
    canvas = crop(material.photographs[rng.integers(len(material.photographs))], size, rng)
    for _ in range(scraps):
        other = scans[rng.choice(np.flatnonzero(labels != digit))]
        canvas, _ = paint(canvas, scrap(other, rng), rng, SCRAP)
    scan = scans[rng.choice(np.flatnonzero(labels == digit))]
    canvas, alpha = paint(canvas, scan, rng, material.heights)
    return canvas, alpha > 0.5


def split_scans(split: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The (n, 8, 8) scans of one split, in [0, 1], and their (n,) labels; the same split for every call's size."""
    digits = load_digits()
    rng = np.random.default_rng(seed)
    chosen = []
    for label in range(CLASSES):
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
    """A random square part of a photograph as a (size, size, 3) float image, of any hue, mirrored or not, and faded."""
    side = rng.integers(*WINDOW, endpoint=True)
    top, left = (rng.integers(length - side + 1) for length in photograph.shape[:2])
    part = Image.fromarray(photograph[top : top + side, left : left + side])
    hue, *others = part.resize((size, size), Image.Resampling.BICUBIC).convert("HSV").split()
    turned = (np.asarray(hue) + rng.integers(256)).astype(np.uint8)  # hues are a circle of 256
    pixels = np.asarray(Image.merge("HSV", [Image.fromarray(turned), *others]).convert("RGB")).astype(float)
    pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    mean = pixels.mean((0, 1))
    return mean + FADED * (pixels - mean)


def scrap(scan: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scan of which one half, left, right, upper or lower, is blank."""
    scan = scan.copy()
    half = [np.s_[:4], np.s_[4:], np.s_[:, :4], np.s_[:, 4:]][rng.integers(4)]
    scan[half] = 0
    return scan


def paint(
    canvas: np.ndarray, scan: np.ndarray, rng: np.random.Generator, heights: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Blend a scan, enlarged, turned and at a random position, into a (size, size, 3) canvas; also its opacity."""
    size = len(canvas)
    side = round(rng.uniform(*heights) * size)
    top, left = rng.integers(size - side + 1, size=2)
    grown = Image.fromarray((255 * scan).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    grown = grown.rotate(rng.uniform(-TURNED, TURNED), Image.Resampling.BILINEAR)
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
    parser.add_argument("--split", required=True, help=", ".join(SPLITS))
    parser.add_argument("--images", type=Path, required=True, help="folder to write: images")
    parser.add_argument("--masks", type=Path, required=True, help="folder to write: the digits' or patches' masks")
    parser.add_argument("--count", type=int, required=True, help="number of images, over all ten classes")
    parser.add_argument("--size", type=int, default=96, help="height and width in pixels")
    parser.add_argument("--scraps", type=int, default=2, help="distractors in each image")
    parser.add_argument("--planted", action="store_true", help="a patch says the class, and the digit is any")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="processes that paint")
    run_command(parser, main)
