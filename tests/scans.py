"""scikit-learn's scans of digits in the files that MNIST is published in."""

import gzip
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SPLITS = {"train": slice(0, 1500), "t10k": slice(1500, None)}


def write_mnist(folder: Path, compress: bool) -> np.ndarray:
    """Write the four files, compressed as they are served or as they lie on disk; the scans (n, 28, 28) uint8."""
    digits = load_digits()
    scans = np.kron(digits.images * 15, np.ones((3, 3))).astype(np.uint8)
    scans = np.pad(scans, ((0, 0), (2, 2), (2, 2)))
    folder.mkdir(parents=True)
    for split, rows in SPLITS.items():
        labels = digits.target[rows].astype(np.uint8)
        heads = {"images-idx3": [0x803, len(labels), 28, 28], "labels-idx1": [0x801, len(labels)]}
        for (name, head), values in zip(heads.items(), (scans[rows], labels), strict=True):
            content = np.array(head, ">i4").tobytes() + values.tobytes()
            path = folder / f"{split}-{name}-ubyte"
            if compress:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return scans
