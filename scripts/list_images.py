"""List the images of a split, those to test, train or tune on, and check that each can be read.

In:  a folder of images, <class>/<file>, which is unpacked or downloaded first if its data set allows it; or any folder
     of images without labels.
Out: a manifest of all that can be used, CSV: index, path below the folder, class, label, orientation, content; and a
     note of all image files of the folder, if asked for, by which the workflow's plan knows whether any has changed.
"""

from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.data.fingerprints import Note, write_note
from explanations.data.folders import check_names, list_folder
from explanations.data.listing import ON_ORIENTATION, ON_OTHER_MODES, ON_UNREADABLE, check_files, list_labelled
from explanations.data.obtaining import obtain
from explanations.data.sets import DATA_SETS, LABELS
from explanations.errors import check_range
from explanations.files.hashes import hash_content
from explanations.files.manifests import UNLABELLED, write_manifest
from explanations.flags import dictionary


def main(
    source: str,
    images: Path,
    output: Path,
    labels: str,
    unreadable: str,
    other_modes: str,
    orientation: str,
    note: Path | None,
    fingerprint: str,
    threads: int,
    package: dict | None = None,
) -> None:
    check_range("--threads", threads, low=1)
    obtain({"source": source, **(package or {})}, images)
    files, passed_over = list_folder(images)
    check_names(images, files)
    for kind, count in sorted(passed_over.items()):
        print(f"passed over: {count} {'ending in ' * kind.startswith('.')}{ascii(kind)[1:-1]}")
    rows = list_labelled(images, files, labels)
    kept, contents = check_files(rows, images, unreadable, other_modes, orientation, threads)
    write_manifest(output, kept)
    if note:
        hashes = [contents.get(file.path) or hash_content(images / file.path) for file in files]
        write_note(note, Note(fingerprint, str(images), files, hashes))
    known = len({row.label for row in kept} - {UNLABELLED})
    print(f"{len(kept)} images {f'of {known} classes' if known else 'without labels'}")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--source", choices=DATA_SETS, default="folder", help="the data set")
    parser.add_argument(
        "--package", type=dictionary, default={}, help="of source package: its package, version, sha256, test and train"
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of images; made if the data set can")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write")
    parser.add_argument("--labels", choices=LABELS, default="folders", help="what class folders stand for")
    parser.add_argument("--unreadable", choices=ON_UNREADABLE, default="stop", help="files that can't be read")
    parser.add_argument("--other-modes", choices=ON_OTHER_MODES, default="convert", help="grey, CMYK, …")
    parser.add_argument("--orientation", choices=ON_ORIENTATION, default="ignore", help="of EXIF")
    parser.add_argument("--note", type=Path, nargs="?", help="note of the folder's files to write, for the plan")
    parser.add_argument("--fingerprint", default="", help="what the plan said of the files, for that note")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
