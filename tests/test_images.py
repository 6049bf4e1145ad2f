"""Folders of images, and what is read of them."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from explanations.command import InputError
from explanations.framing import Framing
from explanations.images import (
    find_images,
    frame,
    inspect_image,
    list_images,
    load_image,
    load_images,
    read_batches,
)


@pytest.fixture
def folder(tmp_path):
    """Four classes of six one-colour images, beside files that are none."""
    root = tmp_path / "images"
    for label, name in enumerate(("b", "a", "d", "c")):
        (root / name).mkdir(parents=True)
        for k in range(6):
            Image.new("RGB", (8, 8), (10 * label, 20 * k, 0)).save(root / name / f"{k}.png")
        (root / name / "notes.txt").write_text("no image")
    (root / ".cache").mkdir()
    (root / "readme.md").write_text("no class")
    return root


def test_listing_is_sorted(folder):
    classes, paths, labels = list_images(folder)
    assert classes == ["a", "b", "c", "d"]
    assert [path.relative_to(folder).as_posix() for path in paths] == [f"{c}/{k}.png" for c in "abcd" for k in range(6)]
    assert labels.tolist() == [label for label in range(4) for _ in range(6)]


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".webp", ".tif"])
def test_other_kinds_of_images(folder, suffix):
    Image.new("RGB", (8, 8)).save(folder / "a" / f"z{suffix}")
    assert len(list_images(folder)[1]) == 25


def test_an_image_of_the_right_size_is_read_as_it_is(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "i.png")
    found = load_image(tmp_path / "i.png", Framing(32, 32))
    assert np.array_equal(found, values.transpose(2, 0, 1))


def test_an_oblong_image_loses_its_ends(tmp_path):
    values = np.zeros((8, 24, 3), np.uint8)
    values[:, :8, 0], values[:, 8:16, 1], values[:, 16:, 2] = 200, 200, 200
    for name, array in (("wide", values), ("tall", values.transpose(1, 0, 2))):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        found = load_image(tmp_path / f"{name}.png", Framing(8, 8))
        assert (found[1] == 200).all() and not found[[0, 2]].any()


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (33, 200), (7, 5)])
def test_every_image_is_brought_to_size(tmp_path, shape):
    Image.new("RGB", shape[::-1], (1, 2, 3)).save(tmp_path / "i.png")
    found = load_image(tmp_path / "i.png", Framing(32, 32))
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
    assert (load_image(tmp_path / f"i.{suffix}", Framing(8, 8)) >= 254).all()


def test_images_are_stacked_in_the_order_given(folder):
    paths = [folder / "b" / "3.png", folder / "d" / "0.png"]
    found = load_images(paths, Framing(8, 8))
    assert found[:, :, 0, 0].tolist() == [[0, 60, 0], [20, 0, 0]]


# --- many files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [1, 4, 30])
def test_batches_are_read_in_order(folder, threads, size):
    paths = find_images(folder)
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    found = list(read_batches(batches, Framing(8, 8), threads))
    assert [len(batch) for batch in found] == [len(batch) for batch in batches]
    assert np.array_equal(np.concatenate(found), load_images(paths, Framing(8, 8)))


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_goes_ahead_by_a_few_batches_at_most(folder, threads):
    """What is asked of an endless list of files, and so what is in memory, doesn't grow with it."""
    path, asked = next((folder / "a").iterdir()), 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield [path] * 2

    for used, batch in enumerate(read_batches(endless(), Framing(8, 8), threads), 1):
        assert len(batch) == 2 and asked <= used + 3
        if used == 20:
            break


@pytest.mark.parametrize("threads", [1, 3])
def test_an_unreadable_file_stops_the_reading_or_is_left_out(folder, capsys, threads):
    (folder / "a" / "2.png").write_bytes(b"no image")
    batches = [find_images(folder / name) for name in "ab"]
    with pytest.raises(InputError, match=r"a/2\.png: can't be read as an image"):
        list(read_batches(batches, Framing(8, 8), threads))
    found = list(read_batches(batches, Framing(8, 8), threads, skip=True))
    assert [len(batch) for batch in found] == [5, 6]
    assert f"left out: {folder / 'a' / '2.png'}: can't be read as an image" in capsys.readouterr().out


def test_files_are_found_whatever_the_folders(folder, tmp_path):
    (folder / "a" / "deep" / "er").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "a" / "deep" / "er" / "x.png")
    Image.new("RGB", (8, 8)).save(folder / "flat.JPEG", "JPEG")
    Image.new("RGB", (8, 8)).save(folder / ".cache" / "hidden.png")
    found = find_images(folder)
    assert len(found) == 26 and found == sorted(found)
    assert folder / "flat.JPEG" in found and folder / "a/deep/er/x.png" in found


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("share", [1, 0.95, 0.5, 0.01])
def test_an_inspection_reads_to_the_end(tmp_path, mode, share):
    path = tmp_path / "x.jpg"
    Image.effect_noise((300, 400), 50).convert(mode).save(path, quality=90)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    if share == 1:
        assert inspect_image(path) == mode
    else:
        with pytest.raises(InputError, match=r"x\.jpg: can't be read as an image"):
            inspect_image(path)
