"""Maps of one's own, one for each image: an HDF5 or npz file, or a folder of PNG and npy files.

A folder has <image>.png or .npy for each image of the manifest, <image> being its path with its ending or without. A
file has an array for each image, named by its path; or one array `maps` (N, h, w), in the order of `images`, an array
of paths beside it, or in the manifest's order without that. Maps of another size are brought to the image's,
bilinearly.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explanations.errors import InputError
from explanations.files.hdf5 import open_hdf5, reading
from explanations.methods.sources.base import Method
from explanations.methods.transform import upsample

UNREADABLE = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error)
Reader = Callable[[int], np.ndarray]


def prepare(settings: Mapping, network: nn.Module, size: tuple[int, int], names: Sequence[str]) -> Method:
    """The maps of the images, by their paths in the manifest; InputError, naming the file, if there are none."""
    path = Path(settings["path"]).expanduser()
    read = open_maps(path, names)

    def make(images: Tensor, targets: Tensor, indices: Sequence[int]) -> Tensor:
        found = [resize(read(index), size, f"{path}: the map of {names[index]}") for index in indices]
        return torch.stack(found).to(images.device)

    return Method(make)


def open_maps(path: Path, names: Sequence[str]) -> Reader:
    """A function that reads the map of the image of an index in the manifest."""
    if path.is_dir():
        return lambda index: read_file(path, names[index])
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; allowed are a folder of PNG or npy, an npz or an HDF5 file")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                held = {name: file[name] for name in file.files}
        else:
            held = read_datasets(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: can't be read as npz or HDF5: {' '.join(str(error).split())}") from None
    return choose_arrays(path, held, names)


def read_datasets(path: Path) -> dict[str, np.ndarray]:
    """All datasets of an HDF5 file by their names."""
    held: dict[str, np.ndarray] = {}
    with open_hdf5(path) as file, reading(path):
        file.visititems(lambda name, item: held.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return held


def choose_arrays(path: Path, held: Mapping[str, np.ndarray], names: Sequence[str]) -> Reader:
    """As open_maps, of a file's arrays."""
    if "maps" not in held:

        def read_named(index: int) -> np.ndarray:
            if names[index] not in held:
                raise InputError(
                    f"{path}: has no map of {names[index]}; there are {len(held)} arrays, and none is `maps`"
                )
            return held[names[index]]

        return read_named
    maps = held["maps"]
    listed = [text.decode() if isinstance(text, bytes) else str(text) for text in held.get("images", names)]
    if len(listed) != len(maps):
        what = "images names" if "images" in held else "the manifest has"
        raise InputError(f"{path}: maps holds {len(maps)} maps; {what} {len(listed)} images")
    place = {name: number for number, name in enumerate(listed)}

    def read_stacked(index: int) -> np.ndarray:
        if names[index] not in place:
            raise InputError(f"{path}: images names no {names[index]}")
        return maps[place[names[index]]]

    return read_stacked


def read_file(folder: Path, name: str) -> np.ndarray:
    """The map of an image from a folder; InputError, naming what was looked for, if there is none."""
    stems = (folder / name, (folder / name).with_suffix(""))
    files = [Path(f"{stem}{ending}") for stem in stems for ending in (".npy", ".png")]
    if Path(name).suffix == ".png":
        files.append(folder / name)
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise InputError(f"{folder}: has no map of {name}; it can be {stems[1]}.npy or {stems[1]}.png")
    try:
        if found.suffix == ".npy":
            return np.load(found, allow_pickle=False)
        with Image.open(found) as picture:
            return np.asarray(picture if picture.mode in ("L", "I", "I;16", "F") else picture.convert("L"))
    except UNREADABLE as error:
        raise InputError(f"{found}: can't be read: {' '.join(str(error).split())}") from None


def resize(values: np.ndarray, size: tuple[int, int], what: str) -> Tensor:
    """A map (h, w) of any size and numbers as one of (H, W), float32; InputError if it is none, or not finite."""
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise InputError(f"{what} is of {values.shape} and type {values.dtype}; allowed are numbers (h, w)")
    made = torch.from_numpy(values.astype(np.float32))
    if not made.isfinite().all():
        raise InputError(f"{what} holds NaN or infinite values; all must be finite")
    return upsample(made[None], size, "bilinear")[0]
