"""Figure P: what stands under a map is what removal measured of that image with that map."""

import h5py
import numpy as np
import pytest
from conftest import refused, remove
from matplotlib.figure import Figure

import make_example_maps
import plot_measured_maps
from explanations.files.hdf5 import read_attributes
from explanations.files.measurements import NEVER, write_measurements

IMAGES, METHODS = [7, 2, 5], ["gradient", "activity_13", "activity_from_1"]


@pytest.fixture
def examples(world, tmp_path):
    """The maps of three images, real ones of a small network."""
    data = (world.networks["vgg16"], world.manifest, world.images, [world.shards["vgg16"]], tmp_path / "m.h5")
    make_example_maps.main(*data, IMAGES, METHODS, "bilinear")
    return tmp_path / "m.h5"


@pytest.fixture
def flags(tmp_path) -> dict:
    return {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png", "dpi": 60}


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """Figures that are made; they are not drawn, which takes seconds."""
    found = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **options: (found.append(figure), path.touch()))
    return found


@pytest.fixture
def measured(results):
    return [results[kind] for kind in ("gradient", "activity", "activity_from")]


def expect_texts(files: list) -> list[tuple[str, str]]:
    """Under each map, row by row, e₋ and δe₋ as they stand in the files, read without the library."""
    columns = {}
    for path in files:
        with h5py.File(path) as file:
            for column, method in enumerate(read_attributes(file)["methods"]):
                columns[method] = {
                    name: dict(zip(file["image"][:].tolist(), file[name][:, column].tolist(), strict=True))
                    for name in ("e_minus", "e_minus_noise", "flip_minus", "flip_minus_noise")
                }
    texts = []
    for image in IMAGES:
        for method in METHODS:
            e, noise, flip, noise_flip = (values[image] for values in columns[method].values())
            dagger = "†" if -1 in noise_flip else ""
            delta = f"{e - noise:+.2f}".replace("-", "−") + dagger
            texts.append(("never flips" if flip == -1 else f"{e:.2f}", delta))
    return texts


def find_numbers(figure: Figure) -> list[tuple[str, str]]:
    """The pairs of numbers under the maps: the texts at the right of a panel."""
    texts = [text.get_text() for text in figure.texts if text.get_ha() == "right" and text.get_va() == "top"]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_numbers_are_those_of_the_measurement(examples, measured, flags, figures):
    plot_measured_maps.main(examples, measured, **flags)
    assert find_numbers(figures[-1]) == expect_texts(measured)
    bars = [ax for ax in figures[-1].axes if ax.patches]
    with h5py.File(measured[0]) as file:
        widths = [file["e_minus"][file["image"][:].tolist().index(image), 0] for image in IMAGES]
    assert [ax.patches[0].get_width() for ax in bars[:: len(METHODS)]] == pytest.approx(widths)


def test_blocks_of_images_are_read_together(world, examples, measured, flags, figures, tmp_path):
    blocks = [
        remove(world, "vgg16", tmp_path / f"{kind}-{shard}.h5", method=kind, shard=shard, shard_size=5)
        for kind in ("gradient", "activity", "activity_from")
        for shard in (0, 1)
    ]
    plot_measured_maps.main(examples, blocks, **flags)
    plot_measured_maps.main(examples, measured, **flags)
    assert find_numbers(figures[0]) == find_numbers(figures[-1]) and figures[0] is not figures[-1]


def test_a_decision_that_never_flips_is_said_to(examples, flags, figures, tmp_path):
    """By one map it never flips, by another's noise map neither; the best is marked, of equals all."""
    shape = (10, len(METHODS))
    arrays = {"image": np.arange(10), "label": np.zeros(10, int)}
    for order in ("minus", "plus"):
        flips, noise = np.full(shape, 3), np.full((*shape, 1), 2)
        flips[7, 0], noise[2, 1] = NEVER, NEVER
        arrays |= {f"flip_{order}": flips, f"flip_{order}_noise": noise}
        arrays |= {f"e_{order}": np.where(flips == NEVER, 1, 0.5)}
        arrays |= {f"e_{order}_noise": np.where(noise[..., 0] == NEVER, 1, 0.25)}
    settings = {"experiment": "tests", "network": "vgg16", "variant": "original", "weights": "", "fill": 0.0}
    settings |= {"upsampling": "bilinear", "grid": 6, "noise_maps": 1, "ties": "random", "never_flips": "one"}
    settings["orders"] = ["minus", "plus"]
    path = tmp_path / "r.h5"
    write_measurements(path, METHODS, arrays, settings)
    plot_measured_maps.main(examples, [path], **flags)
    usual = ("0.50", "+0.25")
    assert find_numbers(figures[-1]) == [
        *[("never flips", "+0.75"), usual, usual],
        *[usual, ("0.50", "−0.50†"), usual],
        *[usual] * 3,
    ]
    bold = [text.get_text() for text in figures[-1].texts if text.get_weight() == "bold" and text.get_ha() == "right"]
    assert bold == ["never flips", "+0.75", "0.50", "+0.25", "0.50", "0.50", "+0.25", *["0.50", "+0.25"] * 3]
    assert any("†: with ξ it never does" in text.get_text() for text in figures[-1].texts)


def test_nothing_overlaps_or_leaves_the_page(examples, measured, flags, figures):
    plot_measured_maps.main(examples, measured, **flags)
    boxes = [ax.get_position() for ax in figures[-1].axes]
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
    apart = [a for k, a in enumerate(boxes) for b in boxes[k + 1 :] if a.overlaps(b)]
    assert not apart and len(boxes) == len(IMAGES) * (1 + 2 * len(METHODS)) + 1


def test_it_is_drawn(examples, measured, flags):
    plot_measured_maps.main(examples, measured, **flags)
    assert flags["png"].read_bytes().startswith(b"\x89PNG") and flags["pdf"].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("bright", "strongest"),
    [
        ({(0, 0): 8.0}, 1),  # a point: 99.9% of the map are its minimum
        ({(0, 0): 8.0, (4, 4): 2.0}, 1),
        ({(0, k): 8.0 if k else 99.0 for k in range(20)}, 20),  # 2%: the one value that is far above is cut off
        ({}, 0),
    ],
)
@pytest.mark.parametrize("floor", [0.0, -3.0])
def test_a_map_of_a_few_points_is_seen(bright, strongest, floor):
    values = np.full((32, 32), floor)
    for place, value in bright.items():
        values[place] += value
    strength = plot_measured_maps.scale_heat(values)
    assert strength.shape == values.shape and strength.min() == 0 and (strength == 1).sum() == strongest
    assert all(strength[place] > 0 for place in bright) and np.count_nonzero(strength) == len(bright)


def test_what_was_not_measured_is_refused(world, examples, results, measured, flags, tmp_path):
    main = plot_measured_maps.main
    assert refused(main, examples, measured[:2], **flags).startswith(
        "method is activity_from_1; measured are gradient, "
    )
    part = remove(world, "vgg16", tmp_path / "p.h5", method="gradient", shard=0, shard_size=5)
    assert refused(main, examples, [part], **flags) == f"{examples}: holds image 5; the removal results given don't"
    other = remove(world, "resnet50", tmp_path / "o.h5", method="gradient")
    said = refused(main, examples, [other], **flags)
    assert said == f"{examples}: is of vgg16; the removal results given are of resnet50"


@pytest.mark.parametrize(
    ("probability", "text"), [(0.999, ">99%"), (0.994, "99%"), (0.005, "<1%"), (0.004, "<1%"), (0.5, "50%")]
)
def test_probabilities(probability, text):
    assert plot_measured_maps.first_digits(probability) == text
