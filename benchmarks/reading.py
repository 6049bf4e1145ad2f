"""How fast photographs are read and preprocessed, against what networks on a GPU ask for.

JPEG files like ImageNet's (500×375, about 100 kB) are read as VGG-16 and ResNet-50 see them (short side 256,
centre 224), by explanations.data.images.read_batches and by torchvision's ImageFolder with torch's DataLoader, on the
same number of CPUs. What each step of config/imagenet.yaml needs is estimated as `snakemake cost` does it. Then what a
file costs when its split is listed and checked, when its content is compared with the list's hash on reading, and
whenever the workflow is planned.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import torchvision
import yaml
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader
from torchvision.transforms._presets import ImageClassification

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from estimate_cost import read_gpu
from explanations.cost.projection import examine_all, expected_share, list_steps
from explanations.cost.throughput import GPU
from explanations.data.fingerprints import sum_states
from explanations.data.folders import list_folder, walk_images
from explanations.data.images import read_batches
from explanations.data.listing import check_files, list_labelled
from explanations.files.framing import Framing, Picture
from explanations.files.hashes import hash_bytes, hash_content

CONFIG = Path(__file__).parent.parent / "config/imagenet.yaml"
IMAGES, BATCH, REPEATS = 512, 64, 3
WIDTH, HEIGHT, QUALITY = 500, 375, 96


def main(gpu: GPU, threads: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = write_photographs(Path(folder) / "class")
        size = np.mean([path.stat().st_size for path in paths])
        print(
            f"{IMAGES} JPEG files of {WIDTH}×{HEIGHT}, {size / 1e3:.0f} kB each; images per second, best of {REPEATS}"
        )
        print(f"{'CPUs':>6} {'read_batches':>14} {'DataLoader':>12} {'ratio':>7}")
        rates = []
        for count in threads:
            own = max(time_reading(read_with_threads(paths, count)) for _ in range(REPEATS))
            other = max(time_reading(read_with_workers(Path(folder), count)) for _ in range(REPEATS))
            rates.append(own / count)
            print(f"{count:>6} {own:>14.0f} {other:>12.0f} {own / other:>7.2f}")
        listing, planning = (min(time_file(look, Path(folder)) for _ in range(REPEATS)) for look in (check, plan))
        print(f"\na file on one CPU: listed and checked in {listing * 1e3:.2f} ms, in a plan {planning * 1e6:.1f} µs")
        hashing = min(time_file(hash_all, Path(folder)) for _ in range(REPEATS))
        share = hashing * rates[0]
        print(f"read again, its content is compared in {hashing * 1e3:.3f} ms, {share:.1%} of reading it")
    print(f"\nasked for by one {gpu.name}, at {rates[-1]:.0f} images per second and CPU:")
    print(f"{'step':<14} {'network':<20} {'images/s':>9} {'CPUs':>6}")
    config = yaml.safe_load(CONFIG.read_text())
    steps = list_steps(config, examine_all(config), expected_share(config))
    needs = {(step.name, step.network): step.read / (3600 * step.hours(gpu)) for step in steps if step.read}
    for (name, network), needed in needs.items():
        print(f"{name:<14} {network:<20} {needed:>9.0f} {needed / rates[-1]:>6.1f}")


def write_photographs(folder: Path) -> list[Path]:
    """Write crops of scikit-learn's photographs at ImageNet's mean size."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for index in range(IMAGES):
        source = Image.fromarray(load_sample_images().images[index % 2])
        left, top = (int(rng.integers(0, spare + 1)) for spare in (source.width - WIDTH, source.height - HEIGHT))
        paths.append(folder / f"{index:05d}.jpg")
        source.crop((left, top, left + WIDTH, top + HEIGHT)).save(paths[-1], quality=QUALITY)
    return paths


def read_with_threads(paths: list[Path], count: int):
    """Batches as every step reads them."""
    pictures = [Picture(path, content=hash_content(path), listing=path) for path in paths]
    return read_batches([pictures[k : k + BATCH] for k in range(0, IMAGES, BATCH)], Framing(224, 256), count)


def read_with_workers(folder: Path, count: int):
    """Batches as torchvision's users read them; preprocessing included, as its preset has it."""
    dataset = torchvision.datasets.ImageFolder(folder, ImageClassification(crop_size=224))
    loader = DataLoader(dataset, BATCH, num_workers=count)
    return (images for images, _ in loader)


def check(folder: Path) -> None:
    """List a split's images and check each, as scripts/list_images.py does."""
    rows = list_labelled(folder, list_folder(folder)[0], "folders")
    with redirect_stderr(StringIO()):  # progress
        check_files(rows, folder, "stop", "convert", "ignore", 1)


def plan(folder: Path) -> None:
    """Look whether any image has changed, as every plan does."""
    sum_states(walk_images(folder, Counter()))


def hash_all(folder: Path) -> None:
    """Hash what is read, as every step does."""
    for path in (folder / "class").iterdir():
        hash_bytes(path.read_bytes())


def time_file(look: Callable[[Path], None], folder: Path) -> float:
    """Seconds that a look at a folder takes for each of its files."""
    start = time.perf_counter()
    look(folder)
    return (time.perf_counter() - start) / IMAGES


def time_reading(batches) -> float:
    """Images per second."""
    start = time.perf_counter()
    count = sum(len(batch) for batch in batches)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", type=read_gpu, default="H100", help="as in scripts/estimate_cost.py")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of CPUs to read with")
    main(**vars(parser.parse_args()))
