"""How the images of data sets come to be on disk: unpacked from ImageNet's own archives or a package, or downloaded."""

import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from explanations.data.sets import DOWNLOADED, PACKAGED, UNPACKED, DataSet, configured_set
from explanations.downloads.fetching import fetch_file
from explanations.downloads.packages import fetch_package, unpack_below
from explanations.errors import InputError
from explanations.files.writing import whole_folder


def obtain(asked: Mapping, images: Path) -> None:
    """Make sure that the folder of the test images that a configuration asks for is there: unpack or download it.

    Of sets that are generated or given nothing is done: listing the folder tells if it isn't there.
    """
    data_set = configured_set(asked)
    way = {UNPACKED: unpack_imagenet, DOWNLOADED: download, PACKAGED: unpack_package}.get(data_set.obtained)
    if images.is_dir() or way is None:
        return
    try:
        way(data_set, images)
    except (OSError, RuntimeError, tarfile.TarError) as error:
        raise InputError(f"images.source is {asked['source']}; {images}: {' '.join(str(error).split())}") from None


def unpack_imagenet(data_set: DataSet, images: Path) -> None:
    """Make the folder of ImageNet's test images from its archive and its development kit, which lie beside it."""
    from torchvision.datasets import imagenet  # which no other data set needs

    archives = [imagenet.ARCHIVE_META[kind][0] for kind in ("val", "devkit")]
    folder = images.parent
    if not all((folder / name).exists() for name in archives):
        raise InputError(f"images.folder: {folder} holds neither val/<synset>/<file> nor {' and '.join(archives)}")
    with whole_folder(images) as temporary:
        for name in archives:
            (temporary / name).symlink_to((folder / name).resolve())
        imagenet.parse_devkit_archive(temporary)
        imagenet.parse_val_archive(temporary)


def download(data_set: DataSet, images: Path) -> None:
    """Make the folder that an archive holds, the topmost of a data set's, with all its images to test and to train on.

    A process that asks for it while another makes it, for another experiment, waits and finds the images there.
    """
    folder = top_folder(data_set, images)
    folder.parent.mkdir(parents=True, exist_ok=True)
    archive = data_set.archive
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if images.is_dir():
            return
        packed = fetch_file(archive.address, archive.digits, folder.parent, archive.algorithm)
        with whole_folder(folder) as temporary, tarfile.open(packed) as file:
            # Python 3.11's first versions, Debian's among them, have no filters; the archive is known by its hash
            file.extractall(temporary, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        packed.unlink()


def unpack_package(data_set: DataSet, images: Path) -> None:
    """Make the folder of a package's images, those to test and those to train on, as `download` does it."""
    folder, packaged = top_folder(data_set, images), data_set.packaged
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if images.is_dir():
            return
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as cache:  # its own: nobody else's goes
            wheel = fetch_package(packaged.package, Path(cache))
            with whole_folder(folder) as temporary:
                for split, patterns in ((data_set.test, packaged.test), (data_set.train, packaged.train)):
                    if patterns:
                        unpack_below(wheel, patterns, packaged.package, temporary / split)


def top_folder(data_set: DataSet, images: Path) -> Path:
    """The topmost folder of a data set's own, given that of its test images."""
    return (images, *images.parents)[len(Path(data_set.test).parts) - 1]
