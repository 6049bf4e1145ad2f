"""Fit a linear classifier without biases to digits and decompose its scores (fig. 1; Eqs 1–4).

In:  scans of handwritten digits: the archive that fetch_mnist.py writes, or scikit-learn's 1797, split in two.
Out: an HDF5 file: /weights (10, H, W), ∂f_c/∂x; /images (k, H, W), one test scan of each digit asked for;
     /attributions (k, 10, H, W), x · ∂f_c/∂x; /scores (k, 10); attributes digits, accuracy, train and test counts.
"""

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from explanations.command import run_command, step_parser
from explanations.errors import InputError, check_range, make_again
from explanations.files.hdf5 import set_attributes, write_dataset, write_hdf5

SCANS = ("train", "test", "train_labels", "test_labels")  # the archive's arrays


def main(output: Path, digits: list[int], regularisation: float, seed: int, scans: Path | None = None) -> None:
    check_range("linear.regularisation", regularisation, low=0, open_low=True)
    for digit in digits:
        check_range("linear.digits", digit, low=0, high=9)
    train, test, train_labels, test_labels = split_digits(seed) if scans is None else read_scans(scans)
    shape = train.shape[1:]
    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
    # soft-max and cross-entropy, no biases
    model = LogisticRegression(fit_intercept=False, C=1 / regularisation, max_iter=1000).fit(train, train_labels)
    weights = model.coef_
    correct = model.predict(test) == test_labels
    print(f"accuracy on {len(test)} scans: {correct.mean():.4f}")
    chosen = []
    for digit in digits:
        members = np.flatnonzero((test_labels == digit) & correct)
        if not len(members):
            raise InputError(f"linear.digits is {digit}; the classifier recognises no test scan of it")
        chosen.append(members[0])
    images = test[chosen]
    attributions = images[:, None, :] * weights  # Eq. 4, (k, 10, H·W)
    with write_hdf5(output) as file:
        write_dataset(file, "weights", weights.reshape(10, *shape))
        write_dataset(file, "images", images.reshape(-1, *shape))
        write_dataset(file, "attributions", attributions.reshape(-1, 10, *shape))
        write_dataset(file, "scores", images @ weights.T)  # Eq. 1
        found = {"digits": digits, "accuracy": correct.mean(), "train": len(train), "test": len(test)}
        set_attributes(file, found)


Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split_digits(seed: int) -> Split:
    """scikit-learn's scans in [0, 1], (n, 8, 8), to train and to test on, and their (n,) labels."""
    digits = load_digits()
    scans, labels = digits.images / 16, digits.target
    return tuple(train_test_split(scans, labels, test_size=0.2, random_state=seed, stratify=labels))


def read_scans(path: Path) -> Split:
    """An archive's scans in [0, 1], (n, H, W), to train and to test on, and their (n,) labels.

    Each of its files is read to its end, which numpy.load need not do: only then is its checksum compared.
    """
    try:
        with ZipFile(path) as archive:
            members = [BytesIO(archive.read(f"{name}.npy")) for name in SCANS]
        train, test, train_labels, test_labels = (np.load(member) for member in members)
        if any(len(scans) != len(labels) for scans, labels in ((train, train_labels), (test, test_labels))):
            raise ValueError("scans and labels differ in number")
        return train / 255, test / 255, train_labels, test_labels
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # zip, zlib and numpy fail in as many ways as files can be broken
        text = " ".join(str(error).split()) or type(error).__name__
        said = f"changed since it was written, truncated, or not an archive of scans ({text})"
        raise InputError(f"{path}: {said}; {make_again(path)}") from None


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--scans", type=Path, nargs="?", help="archive of scans; if there is none, scikit-learn's")
    parser.add_argument("--digits", type=int, nargs="+", default=[3, 6], help="digits whose scores are decomposed")
    parser.add_argument("--regularisation", type=float, default=1.0, help="of the squared weights; larger is smoother")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
