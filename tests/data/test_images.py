"""What is read of image files."""

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import extract, refused, remove
from PIL import Image, ImageOps, TiffImagePlugin
from small import SIZE, describe
from torchvision.transforms import v2

import make_example_maps
from explanations.data.folders import list_folder
from explanations.data.images import frame, inspect_image, load_image, load_images, read_batches
from explanations.errors import InputError
from explanations.files.framing import Framing, Picture
from explanations.files.hashes import hash_content
from explanations.files.manifests import read_manifest
from explanations.networks.evaluation import LabelledImages

PLAIN = Framing(16, 16)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)  # all grey values


@pytest.fixture
def folder(tmp_path):
    """Four classes of six one-colour images."""
    root = tmp_path / "images"
    for label, name in enumerate(("b", "a", "d", "c")):
        (root / name).mkdir(parents=True)
        for k in range(6):
            Image.new("RGB", (8, 8), (10 * label, 20 * k, 0)).save(root / name / f"{k}.png")
    return root


def pictures(folder) -> list[Picture]:
    return [Picture(folder / file.path) for file in list_folder(folder)[0]]


def test_an_image_of_the_right_size_is_read_as_it_is(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "i.png")
    found = load_image(Picture(tmp_path / "i.png"), Framing(32, 32))
    assert np.array_equal(found, values.transpose(2, 0, 1))


def test_an_oblong_image_loses_its_ends(tmp_path):
    values = np.zeros((8, 24, 3), np.uint8)
    values[:, :8, 0], values[:, 8:16, 1], values[:, 16:, 2] = 200, 200, 200
    for name, array in (("wide", values), ("tall", values.transpose(1, 0, 2))):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        found = load_image(Picture(tmp_path / f"{name}.png"), Framing(8, 8))
        assert (found[1] == 200).all() and not found[[0, 2]].any()


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (33, 200), (7, 5)])
def test_every_image_is_brought_to_size(tmp_path, shape):
    Image.new("RGB", shape[::-1], (1, 2, 3)).save(tmp_path / "i.png")
    found = load_image(Picture(tmp_path / "i.png"), Framing(32, 32))
    assert found.shape == (3, 32, 32) and found.dtype == np.uint8
    assert [np.unique(channel).tolist() for channel in found] == [[1], [2], [3]]


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (33, 200), (97, 65), (224, 224), (256, 300)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_framing_is_torchvisions(shape, interpolation):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    steps = [v2.Resize(73, v2.InterpolationMode(interpolation)), v2.CenterCrop(64)]
    assert np.array_equal(frame(image, Framing(64, 73, interpolation)), v2.Compose(steps)(image))


def test_squashing_keeps_an_image_whole(tmp_path):
    values = np.zeros((40, 80, 3), np.uint8)
    values[:, 40:] = 200
    found = np.asarray(frame(Image.fromarray(values), Framing(20, 20, squash=True)))
    assert not found[:, :9].any() and (found[:, 11:] == 200).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / f"i.{suffix}")
    assert (load_image(Picture(tmp_path / f"i.{suffix}"), Framing(8, 8)) >= 254).all()


# --- other pixels ------------------------------------------------------------------------------------------------


SIXTEEN = {
    "png": lambda path: Image.fromarray(RAMP.astype(np.uint16) * 257).save(path),
    "tif": lambda path: Image.fromarray(RAMP.astype(np.uint16) * 257).save(path),
    "pgm": lambda path: path.write_bytes(b"P5 16 16 65535\n" + (RAMP.astype(">u2") * 257).tobytes()),
}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", SIXTEEN)
def test_grey_images_of_16_bits_are_scaled(tmp_path, suffix, channels):
    """65535 is white and 257 the darkest grey but black, not white."""
    path = tmp_path / f"i.{suffix}"
    SIXTEEN[suffix](path)
    assert not inspect_image(path).one_colour
    found = load_image(Picture(path), Framing(16, 16, channels=channels))
    assert found.shape == (channels, 16, 16)
    assert all(np.array_equal(channel, RAMP) for channel in found[:3])
    assert channels != 4 or (found[3] == 255).all()


def test_16_bits_are_rounded(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16) // 2
    Image.fromarray(values).save(tmp_path / "i.png")
    assert np.array_equal(load_image(Picture(tmp_path / "i.png"), PLAIN)[0], np.rint(values / 65535 * 255))


@pytest.mark.parametrize(("bits", "white"), [(16, 1), (16, 0), (12, 1)])
def test_a_tiff_says_what_is_white(tmp_path, bits, white):
    """Of 16 bits where 0 is white, and of 12 bits, whose range is 4095."""
    levels = np.arange(256) * (2**bits - 1) // 255
    if bits == 16:
        data = levels.astype("<u2").tobytes()
    else:
        pairs = zip(levels[::2].tolist(), levels[1::2].tolist(), strict=True)
        data = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257], tags[258], tags[259], tags[262] = 16, 16, bits, 1, white
    tags[277], tags[278], tags[279] = 1, 16, len(data)
    tags[273] = 0  # where the tags end
    (tmp_path / "i.tif").write_bytes(b"II*\0\x08\0\0\0" + tags.tobytes(8) + data)
    wanted = RAMP if white else 255 - RAMP
    assert np.array_equal(load_image(Picture(tmp_path / "i.tif"), PLAIN)[0], wanted)


@pytest.mark.parametrize(("kind", "said"), [(np.float32, "floats (F)"), (np.int32, "32-bit integers (I)")])
def test_pixels_of_no_known_range_are_refused(tmp_path, kind, said):
    path = tmp_path / "i.tif"
    Image.fromarray(RAMP.astype(kind)).save(path)
    message = f"its pixels are {said}, whose range isn't known; allowed are images of 8 or 16 bits"
    assert inspect_image(path).problem == message
    with pytest.raises(InputError) as raised:
        load_image(Picture(path), PLAIN)
    assert str(raised.value) == f"{path}: {message}"


MODES = "1.png L.gif P.png LA.png RGB.ppm RGBA.png CMYK.tif YCbCr.tif LAB.tif RGB.jfif L.pgm"


@pytest.mark.parametrize("name", MODES.split())
def test_every_mode_comes_in_every_number_of_channels(tmp_path, name):
    """In as many channels as a network has, and grey as PIL has the grey of its RGB."""
    path, mode = tmp_path / name, name.partition(".")[0]
    image = Image.fromarray(np.dstack([RAMP, RAMP.T, 255 - RAMP]))
    image = Image.merge("LAB", image.split()) if mode == "LAB" else image.convert(mode)
    image.save(path, **({"format": "JPEG"} if path.suffix == ".jfif" else {}))
    seen = inspect_image(path)
    assert (seen.problem, seen.one_colour, seen.pages, seen.orientation) == ("", False, 1, 1)
    rgb, grey, rgba = (load_image(Picture(path), Framing(16, 16, channels=channels)) for channels in (3, 1, 4))
    assert (rgb.shape, grey.shape, rgba.shape) == ((3, 16, 16), (1, 16, 16), (4, 16, 16))
    assert np.array_equal(rgba[:3], rgb) and (rgba[3] == 255).all()
    luminance = np.asarray(Image.fromarray(rgb.transpose(1, 2, 0)).convert("L"))
    assert np.abs(grey[0].astype(int) - luminance).max() <= 1


def test_transparency_is_read_by_a_network_of_four_channels_alone(tmp_path):
    image = Image.fromarray(RAMP)
    image.putalpha(Image.fromarray(255 - RAMP))
    image.save(tmp_path / "la.png")
    Image.fromarray(RAMP).quantize(4).save(tmp_path / "p.png", transparency=0)
    assert np.array_equal(load_image(Picture(tmp_path / "la.png"), Framing(16, 16, channels=4))[3], 255 - RAMP)
    assert set(np.unique(load_image(Picture(tmp_path / "p.png"), Framing(16, 16, channels=4))[3])) == {0, 255}
    assert np.array_equal(load_image(Picture(tmp_path / "la.png"), PLAIN)[0], RAMP)


@pytest.mark.parametrize("channels", [0, 2, 5])
def test_other_numbers_of_channels_are_refused(tmp_path, channels):
    with pytest.raises(InputError) as raised:
        load_image(Picture(tmp_path / "i.png"), Framing(16, 16, channels=channels))
    allowed = "allowed are 1 (grey), 3 (RGB) and 4 (RGB and alpha)"
    assert str(raised.value) == f"images can't be read in {channels} channels; {allowed}"


def test_one_colour_is_noticed(tmp_path):
    """What is drawn in the alpha channel alone is one colour in RGB; a fine pattern is not, though its mean is flat."""
    drawn = Image.new("RGB", (32, 32))
    drawn.putalpha(Image.fromarray(np.tile(RAMP, (2, 2))))
    pattern = Image.fromarray(np.kron(np.ones((16, 16)), np.array([[0, 255], [255, 0]])).astype(np.uint8))
    for name, image, one_colour in (
        ("flat.png", Image.new("RGB", (32, 32), (9, 8, 7)), True),
        ("flat.jpg", Image.new("L", (32, 32), 200), True),
        ("drawn.png", drawn, True),
        ("deep.png", Image.fromarray(np.full((32, 32), 40000, np.uint16)), True),
        ("pattern.jpg", pattern, False),
        ("pattern.png", pattern, False),
    ):
        image.save(tmp_path / name)
        assert inspect_image(tmp_path / name).one_colour == one_colour, name


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_the_first_of_several_pages_is_read(tmp_path, suffix):
    first, second = (Image.fromarray(np.dstack([values] * 3)) for values in (RAMP, 255 - RAMP))
    lossless = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"i.{suffix}", save_all=True, append_images=[second], **lossless)
    assert inspect_image(tmp_path / f"i.{suffix}").pages == 2
    found = load_image(Picture(tmp_path / f"i.{suffix}"), PLAIN).astype(int)
    assert np.abs(found - RAMP).max() <= 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_undone_if_it_is_asked_for(tmp_path, suffix, orientation):
    """As a viewer shows the image: PIL's own exif_transpose; without being asked, as torchvision reads it."""
    values = np.zeros((24, 40, 3), np.uint8)
    values[:12, :20], values[:12, 20:], values[12:, :20] = 250, 160, 80
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"i.{suffix}"
    Image.fromarray(values).save(path, exif=exif)
    assert inspect_image(path).orientation == orientation
    framing = Framing(16, 16, squash=True)
    with Image.open(path) as file:
        turned, stored = ImageOps.exif_transpose(file), file.convert("RGB")
    for found, wanted in (
        (load_image(Picture(path, orientation), framing), turned),
        (load_images([Picture(path, orientation)], framing)[0], turned),
        (load_image(Picture(path), framing), stored),
    ):
        assert np.array_equal(found, np.asarray(frame(wanted, framing)).transpose(2, 0, 1))


def test_a_tiffs_orientation_is_always_undone(tmp_path):
    """By PIL itself, whoever reads it."""
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.dstack([RAMP] * 3)).save(tmp_path / "i.tif", exif=exif)
    assert inspect_image(tmp_path / "i.tif").orientation == 1
    assert np.array_equal(load_image(Picture(tmp_path / "i.tif"), PLAIN)[0], np.rot90(RAMP, -1))


@pytest.mark.parametrize("value", [0, 9])
def test_an_orientation_that_is_none(tmp_path, value):
    exif = Image.Exif()
    exif[274] = value
    Image.fromarray(RAMP).save(tmp_path / "i.png", exif=exif)
    assert inspect_image(tmp_path / "i.png").orientation == 1


@pytest.mark.parametrize("exif", [b"", b"no directory", b"II*\0\xff\0\0\0", b"II*\0\x08\0\0\0\x01\0"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_that_is_damaged(tmp_path, exif):
    Image.fromarray(RAMP).save(tmp_path / "i.jpg", exif=b"Exif\0\0" + exif)
    assert inspect_image(tmp_path / "i.jpg").orientation == 1


def test_images_are_stacked_in_the_order_given(folder):
    chosen = [Picture(folder / "b" / "3.png"), Picture(folder / "d" / "0.png")]
    found = load_images(chosen, Framing(8, 8))
    assert found[:, :, 0, 0].tolist() == [[0, 60, 0], [20, 0, 0]]


# --- many files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [1, 4, 30])
def test_batches_are_read_in_order(folder, threads, size):
    files = pictures(folder)
    batches = [files[start : start + size] for start in range(0, len(files), size)]
    found = list(read_batches(batches, Framing(8, 8), threads))
    assert [len(batch) for batch in found] == [len(batch) for batch in batches]
    assert np.array_equal(np.concatenate(found), load_images(files, Framing(8, 8)))


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_goes_ahead_by_a_few_batches_at_most(folder, threads):
    """What is asked of an endless list of files, and so what is in memory, doesn't grow with it."""
    picture, asked = pictures(folder)[0], 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield [picture] * 2

    for used, batch in enumerate(read_batches(endless(), Framing(8, 8), threads), 1):
        assert len(batch) == 2 and asked <= used + 3
        if used == 20:
            break


@pytest.mark.parametrize("threads", [1, 3])
def test_an_unreadable_file_stops_the_reading(folder, threads):
    (folder / "a" / "2.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a/2\.png: can't be read as an image"):
        list(read_batches([pictures(folder / name) for name in "ab"], Framing(8, 8), threads))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("share", [1, 0.95, 0.5, 0.01])
def test_an_inspection_reads_to_the_end(tmp_path, mode, share):
    path = tmp_path / "x.jpg"
    Image.effect_noise((300, 400), 50).convert(mode).save(path, quality=90)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    if share == 1:
        assert inspect_image(path).mode == mode
    else:
        with pytest.raises(InputError, match=r"x\.jpg: can't be read as an image"):
            inspect_image(path)


# --- changed files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["i.png", "i.jpg"])
def test_an_image_that_changed_by_a_bit_is_named(tmp_path, name):
    """Whether it could still be read or not; nothing is checked where the list has no hash."""
    path = tmp_path / name
    Image.effect_noise((12, 12), 50).convert("RGB").save(path)
    picture = Picture(path, content=hash_content(path), listing=Path("results/e/test_images.csv"))
    content, pixels = path.read_bytes(), load_images([picture], PLAIN)
    assert np.array_equal(load_images([Picture(path)], PLAIN), pixels)
    remedy = "put it back, or make the list again: snakemake --cores all --force results/e/test_images.csv"
    readable = 0
    for bit in range(0, 8 * len(content), 7):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert refused(load_images, [picture], PLAIN) == f"{path}: changed since it was listed; {remedy}"
        with suppress(InputError):
            readable += not np.array_equal(load_images([Picture(path)], PLAIN), pixels)
    assert readable > 0 or name.endswith("png")  # which has sums of its own


@pytest.mark.parametrize("threads", [1, 3])
def test_a_changed_image_among_many(folder, threads):
    files = [replace(file, content=hash_content(file.path), listing=Path("l.csv")) for file in pictures(folder)]
    Image.new("RGB", (8, 8)).save(files[7].path)
    with pytest.raises(InputError, match=f"{files[7].path}: changed since it was listed"):
        list(read_batches([files[:6], files[6:12]], Framing(8, 8), threads))


def test_every_step_notices_a_changed_image(world, tmp_path):
    """Those that evaluate images, those that tune and train on them; nothing is written."""
    shutil.copytree(world.images, tmp_path / "images")
    rows = read_manifest(world.manifest)
    path = tmp_path / "images" / rows[-1].path
    Image.new("RGB", (SIZE, SIZE)).save(path)
    images, output = {"images": tmp_path / "images"}, tmp_path / "results" / "output"
    message = f"{path}: changed since it was listed; "
    for step in (extract, remove):
        assert refused(step, world, "vgg16", output, **images).startswith(message)
    shards = [world.shards["vgg16"]]
    flags = {"shards": shards, "output": output, "chosen": [len(rows) - 1], "methods": ["gradient"], **images}
    flags |= {"network": world.networks["vgg16"], "manifest": world.manifest, "upsampling": "bilinear"}
    assert refused(make_example_maps.main, **flags).startswith(message)
    test = LabelledImages.read(world.test_images, tmp_path / "images", describe("vgg16"))
    assert refused(lambda: list(test.batches())).startswith(message)
    assert not list(output.parent.iterdir())
