"""Fit a linear classifier without biases to digits and decompose its scores (fig. 1; Eqs 1–4).

In:  scikit-learn's 8×8 scans of handwritten digits (1797), split in two.
Out: an HDF5 file: /weights (10, 8, 8), ∂f_c/∂x; /images (k, 8, 8), one test scan of each digit asked for;
     /attributions (k, 10, 8, 8), x · ∂f_c/∂x; /scores (k, 10); attributes digits, accuracy, train and test counts.
"""

from pathlib import Path

import h5py
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from explanations.command import InputError, check_range, run_command, step_parser, whole_file


def main(output: Path, digits: list[int], regularisation: float, seed: int) -> None:
    check_range("linear.regularisation", regularisation, low=0, open_low=True)
    for digit in digits:
        check_range("linear.digits", digit, low=0, high=9)
    scans, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        scans / 16, labels, test_size=0.2, random_state=seed, stratify=labels
    )
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
    attributions = images[:, None, :] * weights  # Eq. 4, (k, 10, 64)
    with whole_file(output) as temporary, h5py.File(temporary, "w") as file:
        file["weights"] = weights.reshape(10, 8, 8)
        file["images"] = images.reshape(-1, 8, 8)
        file["attributions"] = attributions.reshape(-1, 10, 8, 8)
        file["scores"] = images @ weights.T  # Eq. 1
        file.attrs.update({"digits": digits, "accuracy": correct.mean(), "train": len(train), "test": len(test)})


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--digits", type=int, nargs="+", default=[3, 6], help="digits whose scores are decomposed")
    parser.add_argument("--regularisation", type=float, default=1.0, help="of the squared weights; larger is smoother")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
