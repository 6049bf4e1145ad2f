"""List the images that networks are tested on, and check that each can be read.

In:  a folder of test images, <class>/<file>, which is unpacked or downloaded first if its data set allows it; or any
     folder of images without labels.
Out: a manifest of all of them, CSV: index, path below the folder, class, label.
"""

from pathlib import Path

from explanations.command import check_range, run_command, step_parser
from explanations.datasets import LABELS, ON_OTHER_MODES, SOURCES, check_files, list_labelled, obtain
from explanations.images import ON_UNREADABLE
from explanations.manifests import write_manifest


def main(source: str, images: Path, output: Path, labels: str, unreadable: str, other_modes: str, threads: int) -> None:
    check_range("--threads", threads, low=1)
    obtain(source, images)
    rows = check_files(list_labelled(images, labels), images, unreadable, other_modes, threads)
    write_manifest(output, rows)
    print(f"{len(rows)} images of {len({row.label for row in rows})} classes")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--source", choices=SOURCES, default="folder", help="the data set")
    parser.add_argument("--images", type=Path, required=True, help="folder of test images; made if the data set can")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write")
    parser.add_argument("--labels", choices=LABELS, default="folders", help="what class folders stand for")
    parser.add_argument("--unreadable", choices=ON_UNREADABLE, default="stop", help="files that can't be read")
    parser.add_argument("--other-modes", choices=ON_OTHER_MODES, default="convert", help="grey, CMYK, …")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    run_command(parser, main)
