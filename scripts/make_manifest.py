"""Choose the images that are evaluated.

In:  a folder <class>/<file>.
Out: a manifest, CSV: index, path below the folder, class, label; so many classes, so many images of each, by seed.
"""

from pathlib import Path

from explanations.command import check_range, run_command, step_parser
from explanations.images import choose_images, write_manifest


def main(images: Path, output: Path, classes: int, per_class: int, seed: int) -> None:
    check_range("images.classes", classes, low=1)
    check_range("images.per_class", per_class, low=1)
    rows = choose_images(images, classes, per_class, seed)
    write_manifest(output, rows)
    print(f"{len(rows)} images of {classes} classes")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of images, <class>/<file>")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write")
    parser.add_argument("--classes", type=int, required=True, help="number of classes")
    parser.add_argument("--per-class", type=int, required=True, help="number of images of each")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
