"""Collect the masks of the images that are evaluated, from a folder of masks or from ImageNet's boxes; check each.

In:  the manifest and its folder of images; a folder of masks, grey PNG files at the manifest's paths, as large as the
     images are stored, 128 and above where the object is; or a folder of ImageNet's annotations, XML files named as the
     images, whose boxes of the image's own class are the object.
Out: a folder of masks at the manifest's paths, PNG, as large as the images are stored: 255 where the object is, else 0.
"""

from pathlib import Path

import numpy as np

from explanations.command import run_command, step_parser
from explanations.data.boxes import box_path, draw_boxes, read_boxes
from explanations.data.masks import load_mask, mask_path, save_mask, stored_size
from explanations.errors import InputError
from explanations.files.manifests import UNLABELLED, ManifestRow, read_manifest
from explanations.files.writing import whole_folder
from explanations.progress import progress


def main(manifest: Path, images: Path, output: Path, masks: str = "", boxes: str = "") -> None:
    if bool(masks) == bool(boxes):
        raise InputError(f"images.masks is {masks or 'empty'}, images.boxes {boxes or 'empty'}; allowed is one of both")
    rows = read_manifest(manifest)
    owners: dict[Path, str] = {}
    with whole_folder(output) as folder:
        for row in progress(rows, "masks", len(rows), "image"):
            path = mask_path(row, folder / output.name)
            if (other := owners.setdefault(path, row.path)) != row.path:
                raise InputError(f"{images}: {other} and {row.path} would have one mask; allowed are different names")
            size = stored_size(images / row.path)
            save_mask(
                path, copy_mask(row, Path(masks), size) if masks else mark_boxes(row, Path(boxes), size, manifest)
            )


def copy_mask(row: ManifestRow, masks: Path, size: tuple[int, int]) -> np.ndarray:
    """An image's mask from a folder, (height, width); InputError unless it is as large as the image is stored."""
    path = mask_path(row, masks)
    mask = load_mask(path)
    if mask.shape != size[::-1]:
        height, width = mask.shape
        raise InputError(f"{path}: is {width} × {height}; its image is stored as {size[0]} × {size[1]}")
    return mask


def mark_boxes(row: ManifestRow, boxes: Path, size: tuple[int, int], manifest: Path) -> np.ndarray:
    """The mask (height, width) of an image's boxes of its own class, by ImageNet's synsets."""
    from explanations.data.imagenet import synsets

    if row.label == UNLABELLED or row.label >= len(synsets()):
        raise InputError(f"{manifest}: label {row.label} of {row.path} is no class of ImageNet; images.boxes needs one")
    path = box_path(row, boxes)
    return draw_boxes(path, read_boxes(path, synsets()[row.label]), size)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths are below")
    parser.add_argument("--masks", default="", help="folder of masks")
    parser.add_argument("--boxes", default="", help="folder of ImageNet's annotations")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    run_command(parser, main)
