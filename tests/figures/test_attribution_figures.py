"""Figures 2 and 4 of any network: of few layers and many, without biases, without maps, with what has no position."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SEED, extract, refused
from made import write_shard
from small import build, describe

import plot_decomposition
import plot_variants_attributions
from explanations.figures import decomposition
from explanations.figures.maps import format_sum
from explanations.figures.page import DOUBLE_COLUMN
from explanations.files.shards import ShardReader
from explanations.networks.files import save_network

IMAGE = 3
NETWORKS = {  # heights of the layers' maps; biased operations: layer, height
    "four": ([32, 16, 8, 1], [(1, 16), (2, 8), (3, 1)]),
    "unequal": ([32, 16, 8, 4, 1], [(1, 16), (2, 16), (2, 8), (2, 1), (4, 1)]),  # layer 3 has none, layer 2 three
    "unbiased": ([32, 16, 8, 1], []),
    "gaps": ([32, 16, 1, 8, 1, 8, 1], [(1, 16), (2, 1), (5, 8)]),
    "nineteen": ([32] * 7 + [8] * 11 + [1], [(l, 8) for l in range(1, 19)]),
    "forty": ([64] * 10 + [16] * 29 + [1], [(l, 16) for l in range(1, 39)]),
}


@pytest.fixture
def flags(world, tmp_path) -> dict:
    """The flags that both figures take."""
    data = {"manifest": world.manifest, "images": world.images, "image": IMAGE, "dpi": 60}
    return data | {"pdf": tmp_path / "f.pdf", "png": tmp_path / "f.png"}


def literal_sum(shard: Path, group: str, number: int) -> float:
    """The sum of a map and of what has no position, of one image: Eq. 14 as it is written."""
    first = 0 if group == "activity" else 1
    with ShardReader([shard]) as reader:
        positions = reader.read(f"{group}/{number:02d}", [IMAGE])[0]
        total = sum(float(value) for value in positions.flat)
        return total + float(reader.read(f"{group}_elsewhere", [IMAGE])[0, number - first])


@pytest.mark.parametrize("non_spatial", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_decompositions_of_any_network(world, flags, texts, tmp_path, name, non_spatial):
    sizes, biases = NETWORKS[name]
    shard = write_shard(tmp_path / "s.h5", world.manifest, sizes, biases, non_spatial=non_spatial)
    for layer in (None, 0, len(sizes) - 2):
        plot_decomposition.main(world.networks["vgg16"], shards=[shard], layer=layer, **flags)
        for l in range(len(sizes)):
            assert format_sum(literal_sum(shard, "activity", l)) in texts
            owned = [number for number, (owner, _) in enumerate(biases, start=1) if owner == l]
            if owned:
                assert format_sum(sum(literal_sum(shard, "bias", k) for k in owned)) in texts
        titles = [text for text in texts if text.startswith("over each panel")]
        assert set(titles) == {f"over each panel: its gross sum $A${', with what has no position' * non_spatial}"}


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "vit"])
def test_the_dashed_line_adds_up_to_the_score(world, flags, texts, tmp_path, name):
    """Of real decompositions, from any layer; a ViT's class token has no position."""
    network, shard = tmp_path / "n.safetensors", tmp_path / "s.h5"
    save_network(network, build(name, seed=SEED), describe(name))
    extract(SimpleNamespace(**vars(world) | {"networks": {name: network}}), name, shard)
    with ShardReader([shard]) as reader:
        top = len(reader.layer_names) - 1
    for layer in (0, 1, top // 2, top - 1):
        plot_decomposition.main(network, shards=[shard], layer=layer, **flags)
        line = next(text for text in texts if text.startswith("Dashed line"))
        found, score = (float(part.split("= ")[-1].replace("−", "-")) for part in line.split(";"))
        assert found == pytest.approx(score, abs=2e-3)


@pytest.mark.parametrize("count", [1, 4, 17, 18, 19, 40, 100])
def test_panels_stay_on_the_page_and_apart(count):
    shapes = [(64, 48) if l < count // 2 else (8, 8) for l in range(count)]
    rows = decomposition.arrange(shapes)
    assert [l for row in rows for l in row.layers] == list(range(count))
    for row in rows:
        assert len(row.layers) <= decomposition.LAYERS
        right = row.lefts + row.sides
        assert right[-1] <= DOUBLE_COLUMN and (row.lefts[1:] > right[:-1]).all()
        assert (row.sides <= row.bias - row.activity).all()
    sides = np.concatenate([row.sides for row in rows])
    assert len({f"{side:.6f}" for side in sides}) == len(set(shapes))  # on one scale in all rows


def test_chosen_layers_stand_in_a_row_as_large_as_there_is_room():
    shapes = [(64, 64)] * 10 + [(8, 8)] * 10
    (row,) = decomposition.arrange(shapes, [3, 12, 19], top=2.0, largest=0.7)
    assert row.layers == [3, 12, 19] and row.top == 2.0
    assert row.sides[0] == pytest.approx(0.7) and row.sides[1] == row.sides[2] < 0.7
    assert row.activity > row.top + 0.7 and row.bias > row.activity + 0.7


@pytest.mark.parametrize("non_spatial", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_activities_of_two_variants(world, flags, texts, tmp_path, name, non_spatial):
    sizes, biases = NETWORKS[name]
    shards = [
        write_shard(tmp_path / f"{v}.h5", world.manifest, sizes, biases, variant=v, non_spatial=non_spatial)
        for v in ("original", "decayed")
    ]
    plot_variants_attributions.main([world.networks["vgg16"]] * 2, shards=shards, **flags)
    for l, size in enumerate(sizes):
        total = format_sum(literal_sum(shards[0], "activity", l))
        assert (f"$l$={l}, {size}×{size}\n{total}" in texts) == (size > 1)
        assert (total in texts) == (size > 1)


def test_variants_of_two_networks_are_refused(world, flags, tmp_path):
    shards = [
        write_shard(tmp_path / f"{name}.h5", world.manifest, [8, 4], network=name, variant="decayed") for name in "ab"
    ]
    message = refused(plot_variants_attributions.main, [world.networks["vgg16"]] * 2, shards=shards, **flags)
    assert message == f"{shards[1]}: is of b; allowed are shards of a, as {shards[0]}"
    assert not flags["png"].exists()


@pytest.mark.parametrize("name", ["unequal", "forty"])
def test_figures_are_drawn(world, flags, tmp_path, name):
    sizes, biases = NETWORKS[name]
    shard = write_shard(tmp_path / "s.h5", world.manifest, sizes, biases)
    for step, data in (
        (plot_decomposition, {"network": world.networks["vgg16"], "shards": [shard], "layer": None}),
        (plot_variants_attributions, {"networks": [world.networks["vgg16"]] * 2, "shards": [shard] * 2}),
    ):
        step.main(**data, **flags)
        assert flags["png"].read_bytes().startswith(b"\x89PNG") and flags["pdf"].read_bytes().startswith(b"%PDF")
