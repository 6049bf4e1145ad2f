"""MNIST's files, as they are published, on the way to figure 1."""

import hashlib

import h5py
import numpy as np
import pytest
from scans import write_mnist
from torchvision.datasets import MNIST

import fetch_mnist
import fit_linear_classifier
from explanations.errors import InputError


@pytest.fixture
def published(tmp_path, monkeypatch, serve):
    """scikit-learn's scans, enlarged to 28×28, in the four files of a server that MNIST is downloaded from."""
    scans = write_mnist(tmp_path / "server", compress=True)
    files = sorted((tmp_path / "server").iterdir())
    monkeypatch.setattr(MNIST, "mirrors", [f"{serve(tmp_path / 'server')}/"])
    monkeypatch.setattr(MNIST, "resources", [(f.name, hashlib.md5(f.read_bytes()).hexdigest()) for f in files])
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


def test_another_server_is_asked_if_one_has_another_file(published, tmp_path, monkeypatch, serve):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"another file")
    monkeypatch.setattr(MNIST, "mirrors", [f"{serve(tmp_path / 'wrong')}/", *MNIST.mirrors])
    fetch_mnist.main(tmp_path / "data", tmp_path / "scans.npz")
    assert (tmp_path / "scans.npz").exists()


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_an_archive_that_is_none(tmp_path, content):
    path = tmp_path / "scans.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"scans.npz: (no such file|changed since it was written, truncated, or not)"):
        fit_linear_classifier.main(tmp_path / "l.h5", [3], 1.0, 0, path)


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    """A sample of all bits: of names, sizes, checksums and scans."""
    path, random = tmp_path / "scans.npz", np.random.default_rng(0)
    arrays = {name: random.integers(0, 256, (9, 6, 6), np.uint8) for name in ("train", "test")}
    arrays |= {f"{name}_labels": random.integers(0, 10, 9) for name in ("train", "test")}
    np.savez_compressed(path, **arrays)
    content, found = path.read_bytes(), fit_linear_classifier.read_scans(path)
    errors = []
    for bit in range(0, 8 * len(content), 5):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            again = fit_linear_classifier.read_scans(path)
        except InputError as error:
            errors.append(str(error))
            continue
        assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True)), bit
    start = f"{path}: changed since it was written, truncated, or not an archive of scans ("
    assert all(error.startswith(start) and "\n" not in error for error in errors)
    assert len(errors) > 500 and errors[0].endswith(f"; make it again: snakemake --cores all --force {path}")
