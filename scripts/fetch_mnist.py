"""Fetch MNIST's scans of handwritten digits, for the linear classifier of figure 1.

In:  a folder that holds MNIST as torchvision keeps it (MNIST/raw), or where it is downloaded to once.
Out: a NumPy archive: train (60000, 28, 28) and test (10000, 28, 28) uint8, train_labels and test_labels.
"""

from pathlib import Path

import numpy as np
from torchvision.datasets import MNIST

from explanations.command import run_command, step_parser
from explanations.downloads.fetching import fetch_file
from explanations.errors import InputError
from explanations.files.writing import whole_file, whole_folder


def main(folder: Path, output: Path) -> None:
    scans_folder = folder / "MNIST"
    try:
        if not scans_folder.exists():
            with whole_folder(scans_folder) as temporary:
                for name, md5 in MNIST.resources:
                    fetch_from_mirror(name, md5, temporary / "MNIST" / "raw")
                MNIST(temporary, download=True)  # of what is there already it is left to unpack it
        found = {split: MNIST(folder, train=split == "train") for split in ("train", "test")}
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"linear.folder is {folder}; MNIST: {' '.join(str(error).split())}") from None
    arrays = {split: scans.data.numpy() for split, scans in found.items()}
    arrays |= {f"{split}_labels": scans.targets.numpy() for split, scans in found.items()}
    with whole_file(output) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{len(arrays['train'])} scans to train on, {len(arrays['test'])} to test on")


def fetch_from_mirror(name: str, md5: str, folder: Path) -> None:
    """Fetch one of MNIST's files from the first server that has it; InputError, of the last, if none has."""
    for mirror in MNIST.mirrors[:-1]:
        try:
            fetch_file(f"{mirror}{name}", md5, folder, "md5")
            return
        except InputError as error:
            print(error)
    fetch_file(f"{MNIST.mirrors[-1]}{name}", md5, folder, "md5")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder that holds MNIST, or is to")
    parser.add_argument("--output", type=Path, required=True, help="NumPy archive to write")
    run_command(parser, main)
