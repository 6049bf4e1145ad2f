"""A bit that changed in an HDF5 file: what is read is what was written, or the file is refused in one line.

Each kind of file that steps write, a bit flipped in one byte after the other, all is read in a process of its own:
HDF5 might crash. `python tests/files/test_flipped_bits.py KIND FILE STRIDE` does it by hand.
"""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.extend(str(Path(__file__).parents[2] / folder) for folder in ("scripts", "tests"))

from kinds import KINDS

from explanations.errors import InputError

STRIDES = {"shard": 23, "shard of many operations": 2903, "results": 7, "examples": 7, "linear": 23}


def flip_bits(kind: str, path: Path, stride: int) -> tuple[int, int]:
    """How many flips of a bit were refused and how many changed nothing; AssertionError if one did anything else."""
    _, read = KINDS[kind]
    wanted, whole = read(path), bytearray(path.read_bytes())
    refused = 0
    for number, place in enumerate(range(0, len(whole), stride)):
        whole[place] ^= 1 << number % 8
        path.write_bytes(whole)
        whole[place] ^= 1 << number % 8
        try:
            found = read(path)
        except InputError as error:
            if not str(error).startswith(f"{path}: ") or "\n" in str(error):
                raise AssertionError(str(error)) from error
            refused += 1
            continue
        except BaseException as error:
            raise AssertionError(f"bit {number % 8} of byte {place}") from error
        assert found.keys() == wanted.keys(), place
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{name}: bit {number % 8} of byte {place}")
    path.write_bytes(whole)
    return refused, number + 1 - refused


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_changes_nothing_or_is_refused(tmp_path, kind):
    path = tmp_path / "a.h5"
    KINDS[kind][0](path)
    command = [sys.executable, __file__, kind, str(path), str(STRIDES[kind])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    refused, harmless = map(int, ran.stdout.split())
    assert refused > 50
    assert refused > harmless / 4  # the rest is space that HDF5 left between its parts


@pytest.mark.parametrize("kind", KINDS)
def test_all_values_have_checksums(tmp_path, kind):
    KINDS[kind][0](tmp_path / "a.h5")
    found = []
    with h5py.File(tmp_path / "a.h5") as file:
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        assert found and all(dataset.fletcher32 for dataset in found)
        assert file.id.get_create_plist().get_version()[0] == 3  # the superblock's
        items = [file, *found]
        kinds = [item.attrs.get_id(name).dtype for item in items for name in item.attrs]
        assert all(h5py.check_string_dtype(kind) is None or h5py.check_string_dtype(kind).length for kind in kinds)


def test_a_letter_of_a_long_list_of_names(tmp_path):
    """HDF5 keeps an attribute of more than 4 kB apart, without a checksum."""
    path = tmp_path / "a.h5"
    write, read = KINDS["shard of many operations"]
    write(path)
    whole, names = path.read_bytes(), b"stages.77.blocks.77.mlp"
    places = [k for k in range(len(whole)) if whole.startswith(names, k)]
    assert len(places) == 3  # beside the maps of biases and of FullGrad, and in the list
    found = []
    for place in places:
        path.write_bytes(whole[:place] + b"t" + whole[place + 1 :])
        try:
            found.append(str(read(path)["texts"]))
        except InputError as error:
            found.append(str(error))
    assert sum("(its attributes are others); make it again: " in text for text in found) == 1
    assert not any("ttages" in text for text in found)


if __name__ == "__main__":
    print(*flip_bits(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
