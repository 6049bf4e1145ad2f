"""Masks of users' own and ImageNet's boxes: read from files, framed as the images are, refused in one line."""

import numpy as np
import pytest
from conftest import refused
from PIL import Image
from PIL.ExifTags import Base

import make_masks
from explanations.data.boxes import Annotation, draw_boxes, read_boxes
from explanations.data.images import load_image
from explanations.data.masks import load_mask, read_mask, save_mask
from explanations.files.framing import Framing
from explanations.files.manifests import ManifestRow, read_manifest, write_manifest

TENCH, GOLDFISH = "n01440764", "n01443537"  # ImageNet's classes 0 and 1
WHOLE = Framing(32, 32)


def paint(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A (height, width) mask of a random block."""
    rng = np.random.default_rng(seed)
    width, height = size
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[top : top + height // 3, left : left + width // 3] = True
    return mask


def write_annotation(path, size, *objects):
    """An annotation as ImageNet has it, of objects (name, xmin, ymin, xmax, ymax)."""
    width, height = size
    text = f"<annotation><folder>val</folder><size><width>{width}</width><height>{height}</height></size>"
    for name, *corners in objects:
        sides = "".join(
            f"<{side}>{corner}</{side}>" for side, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        )
        text += f"<object><name>{name}</name><pose>Unspecified</pose><bndbox>{sides}</bndbox></object>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}</annotation>")


# --- framing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("framing", [Framing(24, 30, "bicubic"), Framing(24, 24, squash=True), Framing(40, 30)])
def test_a_mask_goes_through_all_that_its_image_does(tmp_path, orientation, framing):
    """Painted as white on black, the image shows where the mask must be; at its edge colours mix."""
    mask = paint((61, 45), orientation)
    Image.fromarray(255 * mask.astype(np.uint8)).convert("RGB").save(tmp_path / "a.bmp")
    save_mask(tmp_path / "masks/a.png", mask)
    row = ManifestRow(0, "a.bmp", "", -1, orientation)
    found = read_mask(row, tmp_path / "masks", framing)
    shown = load_image(row.picture(tmp_path, tmp_path / "list.csv"), framing)[0] / 255
    assert found.shape == (framing.size, framing.size) and found.dtype == bool and 0 < found.mean() < 1
    assert (found == (shown > 0.5))[np.abs(shown - 0.5) > 0.45].all()
    assert (found != (shown > 0.5)).mean() < 0.05


def test_an_object_outside_the_cut_marks_nothing(tmp_path):
    mask = np.zeros((32, 96), bool)
    mask[:, :20] = True
    save_mask(tmp_path / "a.png", mask)
    assert not read_mask(ManifestRow(0, "a.jpg", "", -1), tmp_path, WHOLE).any()


@pytest.mark.parametrize("kind", ["L", "1", "P", "RGB", "RGBA", "I;16"])
def test_modes_of_masks(tmp_path, kind):
    """Grey is what any PNG becomes; the half of the range counts, 128 of 255, 32896 of 65535."""
    values = np.array([[0, 127, 128, 255]], np.uint8)
    image = Image.fromarray(values.astype(np.uint16) * 257 if kind == "I;16" else values)
    if kind == "P":
        image = image.convert("RGB").quantize(4, dither=Image.Dither.NONE)
    (image if kind == "I;16" else image.convert(kind, dither=Image.Dither.NONE)).save(tmp_path / "a.png")
    assert load_mask(tmp_path / "a.png").tolist() == [[False, False, True, True]]


# --- masks of users' own ----------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder of images of different shapes, one of them turned by EXIF, their manifest, and the painted masks."""
    sizes = {"a/1.jpg": (60, 40), "a/2.png": (40, 50), "b/3.jpeg": (64, 48)}
    rows, masks = [], {}
    for index, (path, size) in enumerate(sizes.items()):
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        image, exif = Image.new("RGB", size, (9, 90, 200)), Image.Exif()
        exif[Base.Orientation] = 6 if path == "a/1.jpg" else 1
        image.save(tmp_path / "images" / path, exif=exif)
        rows.append(ManifestRow(index, path, path[0], index % 2, exif[Base.Orientation]))
        masks[path] = paint(size, index)
        save_mask((tmp_path / "masks" / path).with_suffix(".png"), masks[path])
    write_manifest(tmp_path / "manifest.csv", rows)
    return masks


def collect(folder, **places):
    make_masks.main(folder / "manifest.csv", folder / "images", folder / "made", **places)


def test_users_masks_are_collected(tmp_path, pictures):
    save_mask(tmp_path / "masks/c/unused.png", paint((5, 5)))
    collect(tmp_path, masks=str(tmp_path / "masks"))
    files = sorted(path.relative_to(tmp_path / "made").as_posix() for path in (tmp_path / "made").rglob("*.*"))
    assert files == ["a/1.png", "a/2.png", "b/3.png"]
    for row in read_manifest(tmp_path / "manifest.csv"):
        assert np.array_equal(load_mask(tmp_path / "made" / files[row.index]), pictures[row.path])
        turned = np.rot90(pictures[row.path], -1) if row.orientation == 6 else pictures[row.path]
        framing = Framing(max(turned.shape), min(turned.shape))  # nothing is resized or cut off
        found = read_mask(row, tmp_path / "made", framing)
        assert np.array_equal(found[np.ix_(found.any(1), found.any(0))], turned[np.ix_(turned.any(1), turned.any(0))])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "{path}: no such mask"),
        (lambda path: path.write_bytes(b"no"), "{path}: can't be read as a mask "),
        (
            lambda path: Image.new("L", (40, 50), 127).save(path),
            "{path}: marks no pixel; allowed is a mask with values ",
        ),
        (
            lambda path: Image.new("L", (50, 40), 255).save(path),
            "{path}: is 50 × 40; its image is stored as 40 × 50",
        ),
        (lambda path: Image.new("I", (40, 50), 255).save(path, "TIFF"), "{path}: its pixels are 32-bit integers"),
    ],
)
def test_masks_that_are_none(tmp_path, pictures, spoil, message):
    path = tmp_path / "masks/a/2.png"
    spoil(path)
    assert refused(collect, tmp_path, masks=str(tmp_path / "masks")).startswith(message.format(path=path))
    assert not (tmp_path / "made").exists()


def test_images_that_would_share_a_mask(tmp_path, pictures):
    rows = read_manifest(tmp_path / "manifest.csv")
    (tmp_path / "images/a/1.png").write_bytes((tmp_path / "images/a/1.jpg").read_bytes())
    write_manifest(tmp_path / "manifest.csv", [*rows, ManifestRow(3, "a/1.png", "a", 0)])
    message = refused(collect, tmp_path, masks=str(tmp_path / "masks"))
    assert message == f"{tmp_path / 'images'}: a/1.jpg and a/1.png would have one mask; allowed are different names"


@pytest.mark.parametrize("places", [{}, {"masks": "a", "boxes": "b"}])
def test_masks_come_from_one_place(tmp_path, pictures, places):
    assert refused(collect, tmp_path, **places).endswith("; allowed is one of both")


# --- ImageNet's boxes -------------------------------------------------------------------------------------------------


def literal_boxes(size, boxes):
    """Pixel by pixel, of an image of the size that its boxes are in."""
    width, height = size
    return [
        [any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes) for x in range(width)] for y in range(height)
    ]


def test_boxes_hold_their_corners(tmp_path):
    boxes = [(1, 2, 4, 3), (3, 3, 8, 5), (-3, 0, 0, 0), (7, 4, 7, 4)]  # two overlap, one beyond the edge, a pixel
    mask = draw_boxes(tmp_path / "a.xml", Annotation((7, 6), boxes), (7, 6))
    assert mask.tolist() == literal_boxes((7, 6), boxes)
    assert mask.sum() == 8 + 12 - 2 + 1


def test_boxes_of_an_image_that_was_resized(tmp_path):
    found = Annotation((500, 375), [(100, 75, 299, 149)])  # from a fifth to three fifths, from a fifth to two fifths
    mask = draw_boxes(tmp_path / "a.xml", found, (100, 75))
    assert np.flatnonzero(mask.any(0)).tolist() == [*range(20, 60)]
    assert np.flatnonzero(mask.any(1)).tolist() == [*range(15, 30)]
    assert draw_boxes(tmp_path / "a.xml", found, (427, 320)).mean() == pytest.approx(0.4 * 0.2, rel=0.02)


def test_boxes_of_the_images_own_class_are_collected(tmp_path, pictures):
    """By synset of the label, whatever the class folder is called, as ImageNet-V2's numbers."""
    folder = tmp_path / "boxes"
    write_annotation(
        folder / "1.xml", (60, 40), (TENCH, 5, 5, 19, 14), (GOLDFISH, 0, 0, 59, 39), (TENCH, 30, 20, 39, 24)
    )
    write_annotation(folder / "2.xml", (40, 50), (GOLDFISH, 0, 0, 39, 49))
    write_annotation(folder / "3.xml", (64, 48), (TENCH, 10, 0, 10, 47))
    collect(tmp_path, boxes=str(folder))
    made = [load_mask(tmp_path / "made" / path) for path in ("a/1.png", "a/2.png", "b/3.png")]
    assert made[0].tolist() == literal_boxes((60, 40), [(5, 5, 19, 14), (30, 20, 39, 24)])
    assert made[1].all() and made[2].sum() == 48


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such file of boxes"),
        (lambda path: path.write_text("<annotation>"), "can't be read as ImageNet's boxes ("),
        (
            lambda path: write_annotation(path, (40, 50)),
            f"has no box of {GOLDFISH}, the image's class; its objects are none",
        ),
        (
            lambda path: write_annotation(path, (40, 50), (TENCH, 1, 1, 2, 2)),
            f"has no box of {GOLDFISH}, the image's class; its objects are {TENCH}",
        ),
        (
            lambda path: write_annotation(path, (50, 40), (GOLDFISH, 1, 1, 2, 2)),
            "its boxes are in an image of 50 × 40; the image is 40 × 50, which is another shape",
        ),
        (
            lambda path: write_annotation(path, (40, 50), (GOLDFISH, 40, 1, 49, 9), (GOLDFISH, 9, 9, 4, 12)),
            "its boxes mark no pixel of the image, 40 × 50",
        ),
        (
            lambda path: write_annotation(path, (40, 50), (GOLDFISH, 1, "", 2, 2)),
            "can't be read as ImageNet's boxes (could not convert string to float: ''",
        ),
        (
            lambda path: write_annotation(path, (0, 50), (GOLDFISH, 1, 1, 2, 2)),
            "can't be read as ImageNet's boxes (size/width is 0)",
        ),
        (
            lambda path: path.write_text("<annotation><object/></annotation>"),
            "can't be read as ImageNet's boxes (it lacks size/width)",
        ),
    ],
)
def test_boxes_that_are_none(tmp_path, pictures, spoil, message):
    folder = tmp_path / "boxes"
    write_annotation(folder / "1.xml", (60, 40), (TENCH, 5, 5, 19, 14))
    write_annotation(folder / "2.xml", (40, 50), (GOLDFISH, 0, 0, 39, 49))
    spoil(folder / "2.xml")
    assert refused(collect, tmp_path, boxes=str(folder)).startswith(f"{folder / '2.xml'}: {message}")


def test_boxes_of_images_without_labels(tmp_path, pictures):
    rows = read_manifest(tmp_path / "manifest.csv")
    write_manifest(tmp_path / "manifest.csv", [ManifestRow(0, rows[0].path, "", -1)])
    message = refused(collect, tmp_path, boxes="boxes")
    said = "label -1 of a/1.jpg is no class of ImageNet; images.boxes needs one"
    assert message == f"{tmp_path / 'manifest.csv'}: {said}"


def test_objects_of_an_annotation_in_any_order(tmp_path):
    path = tmp_path / "a.xml"
    box = "<bndbox><ymax>4</ymax><xmax>3</xmax><ymin>2</ymin><xmin>1</xmin></bndbox>"
    size = "<size><depth>3</depth><height>6</height><width>8</width></size>"
    path.write_text(f"<annotation><object>{box}<name>{TENCH}</name></object>{size}</annotation>")
    assert read_boxes(path, TENCH) == Annotation((8, 6), [(1, 2, 3, 4)])
