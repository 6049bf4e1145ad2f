"""MNIST's files, as they are published, on the way to figure 1."""

import gzip
import hashlib

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits
from torchvision.datasets import MNIST

import fetch_mnist
import fit_linear_classifier
from explanations.command import InputError

SPLITS = {"train": slice(0, 1500), "t10k": slice(1500, None)}


@pytest.fixture
def published(tmp_path, monkeypatch, serve):
    """scikit-learn's scans, enlarged to 28×28, in the four files of a server that MNIST is downloaded from."""
    digits = load_digits()
    scans = np.kron(digits.images * 15, np.ones((3, 3))).astype(np.uint8)
    scans = np.pad(scans, ((0, 0), (2, 2), (2, 2)))
    resources = []
    (tmp_path / "server").mkdir()
    for split, rows in SPLITS.items():
        labels = digits.target[rows].astype(np.uint8)
        heads = {"images-idx3": [0x803, len(labels), 28, 28], "labels-idx1": [0x801, len(labels)]}
        for (name, head), values in zip(heads.items(), (scans[rows], labels), strict=True):
            file = tmp_path / "server" / f"{split}-{name}-ubyte.gz"
            file.write_bytes(gzip.compress(np.array(head, ">i4").tobytes() + values.tobytes()))
            resources.append((file.name, hashlib.md5(file.read_bytes()).hexdigest()))
    monkeypatch.setattr(MNIST, "mirrors", [f"{serve(tmp_path / 'server')}/"])
    monkeypatch.setattr(MNIST, "resources", resources)
    return scans


def test_mnist_is_downloaded_once_and_fitted(published, tmp_path, monkeypatch):
    folder, scans = tmp_path / "data", tmp_path / "scans.npz"
    fetch_mnist.main(folder, scans)
    with np.load(scans) as file:
        assert np.array_equal(np.concatenate([file["train"], file["test"]]), published)
    monkeypatch.setattr(MNIST, "mirrors", [])
    fetch_mnist.main(folder, tmp_path / "again.npz")
    assert [path.name for path in folder.iterdir()] == ["MNIST"]
    fit_linear_classifier.main(tmp_path / "l.h5", [3, 6], 100.0, 0, scans)
    with h5py.File(tmp_path / "l.h5") as file:
        assert file["weights"].shape == (10, 28, 28) and file["attributions"].shape == (2, 10, 28, 28)
        np.testing.assert_allclose(file["attributions"][:].sum((2, 3)), file["scores"][:])
        assert file.attrs["accuracy"] > 0.8 and file.attrs["test"] == 297


def test_a_broken_download_leaves_nothing(published, tmp_path):
    (tmp_path / "server" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"another file")
    with pytest.raises(InputError, match=r"linear.folder is .*data; MNIST: "):
        fetch_mnist.main(tmp_path / "data", tmp_path / "scans.npz")
    assert list((tmp_path / "data").iterdir()) == [] and not (tmp_path / "scans.npz").exists()


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_an_archive_that_is_none(tmp_path, content):
    path = tmp_path / "scans.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"scans.npz: (no such file|truncated, or not an archive of scans)"):
        fit_linear_classifier.main(tmp_path / "l.h5", [3], 1.0, 0, path)
