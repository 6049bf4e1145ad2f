"""Choose the images that are evaluated.

In:  the manifest of all test images.
Out: a manifest, CSV: index, path below the folder of images, class, label; so many classes, so many images of each, by
     seed.
"""

from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.errors import check_range
from explanations.files.manifests import SHORT_CLASSES, choose_images, read_manifest, write_manifest


def main(test_images: Path, output: Path, classes: int, per_class: int, short_classes: str, seed: int) -> None:
    check_range("images.classes", classes, low=1)
    check_range("images.per_class", per_class, low=1)
    rows = choose_images(read_manifest(test_images), classes, per_class, seed, short_classes, test_images)
    write_manifest(output, rows)
    print(f"{len(rows)} images of {len({row.label for row in rows})} classes")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--test-images", type=Path, required=True, help="manifest of all test images")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write")
    parser.add_argument("--classes", type=int, required=True, help="number of classes")
    parser.add_argument("--per-class", type=int, required=True, help="number of images of each")
    parser.add_argument("--short-classes", choices=SHORT_CLASSES, default="stop", help="classes with fewer images")
    parser.add_argument("--seed", type=int, default=0)
    run_command(parser, main)
