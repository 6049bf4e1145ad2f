"""Bounding boxes of objects as ImageNet's annotations have them: an XML file for each image, as PASCAL VOC's.

    <annotation> <size> <width>500</width> <height>375</height> </size>
      <object> <name>n01751748</name>
        <bndbox> <xmin>111</xmin> <ymin>108</ymin> <xmax>441</xmax> <ymax>193</ymax> </bndbox> </object> … </annotation>

A box holds the pixels from xmin to xmax and from ymin to ymax, these among them, counted from 0, of an image of that
size. Images that were resized since keep their boxes: sizes need only be of one shape.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explanations.errors import InputError
from explanations.files.manifests import ManifestRow

CORNERS = ("xmin", "ymin", "xmax", "ymax")
ROUNDED = 1  # pixel by which a resized image's side may differ from what its other side says


@dataclass(frozen=True)
class Annotation:
    """An image's size, (width, height), and the boxes of one class in it, each xmin, ymin, xmax, ymax."""

    size: tuple[float, float]
    boxes: Sequence[tuple[float, ...]]


def box_path(row: ManifestRow, folder: Path) -> Path:
    """The file of an image's boxes: named as the image, whatever folder that is in."""
    return folder / f"{Path(row.path).stem}.xml"


def read_boxes(path: Path, synset: str) -> Annotation:
    """The boxes of all objects of a class, by its synset; InputError, naming the file, if there is none."""
    try:
        root = ET.parse(path).getroot()
        size = tuple(_read_number(root, f"size/{side}") for side in ("width", "height"))
        objects = [(found.findtext("name", ""), found) for found in root.findall("object")]
        own = [found for name, found in objects if name == synset]
        boxes = [tuple(_read_number(found, f"bndbox/{corner}") for corner in CORNERS) for found in own]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of boxes") from None
    except (OSError, ET.ParseError, ValueError) as error:
        raise InputError(f"{path}: can't be read as ImageNet's boxes ({error})") from None
    if not boxes:
        others = ", ".join(sorted({name for name, _ in objects})) or "none"
        raise InputError(f"{path}: has no box of {synset}, the image's class; its objects are {others}")
    return Annotation(size, boxes)


def draw_boxes(path: Path, found: Annotation, size: tuple[int, int]) -> np.ndarray:
    """The mask (height, width) of what lies in any box, of an image of `size`, (width, height).

    What lies outside the image is cut off. InputError, naming the file, if the image is of another shape, or nothing is
    left in it.
    """
    (width, height), (old_width, old_height) = size, found.size
    gaps = abs(width * old_height / old_width - height), abs(height * old_width / old_height - width)
    if min(gaps) > ROUNDED:
        said = f"{path}: its boxes are in an image of {old_width:g} × {old_height:g}"
        raise InputError(f"{said}; the image is {width} × {height}, which is another shape")
    mask = np.zeros((height, width), bool)
    for xmin, ymin, xmax, ymax in found.boxes:
        left, right = (round(max(x, 0) * width / old_width) for x in (xmin, xmax + 1))
        top, bottom = (round(max(y, 0) * height / old_height) for y in (ymin, ymax + 1))
        mask[top:bottom, left:right] = True
    if not mask.any():
        raise InputError(f"{path}: its boxes mark no pixel of the image, {width} × {height}")
    return mask


def _read_number(element: ET.Element, name: str) -> float:
    """The number of an element below another; ValueError if there is none, or none that a size or corner can be."""
    text = element.findtext(name)
    if text is None:
        raise ValueError(f"it lacks {name}")
    number = float(text)
    if not np.isfinite(number) or (name.startswith("size") and number <= 0):
        raise ValueError(f"{name} is {text}")
    return number
