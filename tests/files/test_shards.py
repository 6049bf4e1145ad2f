"""Shards of many operations, layers and images: what is numbered is read by its number, past 99 and past 999."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import timm
import torch
from complete import FoundMaps, bias_layers, explain
from conftest import refused
from small import randomise
from torch import Tensor, nn
from workflow_copy import ROOT

from explanations.decomposition.decomposition import Attributions
from explanations.files.hdf5 import DIGEST, write_hdf5
from explanations.files.manifests import ManifestRow
from explanations.files.measurements import SETTINGS, STORED, read_measurements, write_measurements
from explanations.files.shards import IDENTITY, Operation, ShardReader, ShardWriter, numbered
from explanations.methods.bias import add_biases
from explanations.methods.maps import ShardMaps
from explanations.methods.names import MethodName
from explanations.methods.saliency import list_methods, saliency_maps

DECIDED = {"image": np.arange(1), "target": np.zeros(1, int), "score": np.ones(1), "logits": np.ones((1, 1))}
IDENTIFIED = dict.fromkeys(IDENTITY, "some")
BLOCKS = 43


class Deep(nn.Module):
    """More than a hundred biased operations, two or three in every layer, of maps of three sizes."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(4 if k else 3, 4, 3, padding=1) for k in range(BLOCKS))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(BLOCKS))
        self.branches = nn.ModuleList(nn.Conv2d(4 if k else 3, 4, 1) for k in range(0, BLOCKS, 2))
        self.top = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        for k in range(BLOCKS):
            y = self.norms[k](self.blocks[k](x))
            x = torch.relu(y if k % 2 else y + self.branches[k // 2](x))
            if k in (14, 28):
                x = nn.functional.avg_pool2d(x, 2)
        return self.top(x.mean((2, 3)))


def write_found(path: Path, found: Attributions, layers: list[str], operations: list[Operation]) -> Path:
    """A shard of a decomposition's images, the manifest's first ones."""
    count = len(found.score)
    with write_hdf5(path) as file:
        writer = ShardWriter(file, count, IDENTIFIED, layers, operations, {})
        writer.append({"image": np.arange(count), "label": np.zeros(count, int), **found.to_arrays()})
    return path


def write_made(path: Path, images: list[int], layers: int, operations: int) -> Path:
    """A shard of maps that hold their own number, an image's times 10,000 added; biases are negative."""
    first = np.array(images)

    def maps(numbers: range, sign: int) -> list[np.ndarray]:
        return [np.broadcast_to(sign * (10_000 * first + k)[:, None, None], (len(first), 2, 1)) for k in numbers]

    arrays = {"image": first, "score": first.astype(float), "logits": first[:, None].astype(float)}
    arrays |= {
        "target": np.zeros_like(first),
        "label": first,
        **dict.fromkeys(("gradient", "gradcam"), maps(range(1), 1)[0]),
    }
    arrays |= {"activity_elsewhere": np.zeros((len(first), layers)), "activity": maps(range(layers), 1)}
    arrays |= {"bias_elsewhere": np.zeros((len(first), operations)), "bias": maps(range(operations), -1)}
    named = [Operation(f"operation {k}", owner(k)) for k in range(operations)]
    with write_hdf5(path) as file:
        writer = ShardWriter(file, len(first), IDENTIFIED, [f"layer {l}" for l in range(layers)], named, {})
        writer.append({**arrays, "fullgrad_feature": maps(range(operations), 1)})
    return path


def owner(operation: int) -> int:
    """The layer of a made operation: from 1, two operations each."""
    return 1 + operation // 2


def as_before(path: Path) -> Path:
    """A shard as it was made before shards listed their operations."""
    with h5py.File(path, "a") as file:
        del file.attrs["operations"], file.attrs["operation_layers"], file.attrs[DIGEST]
    return path


def assert_maps_of_memory(path: Path, found: Attributions, layers: list[int]) -> None:
    """FullGrad, FullGrad per feature and every layer's bias from a shard are those of the decomposition itself."""
    memory = FoundMaps(found, layers)
    with ShardReader([path]) as reader:
        stored = ShardMaps(reader, reader.images)
        assert stored.operation_layers == layers and stored.layers == memory.layers
        kinds = [MethodName(kind) for kind in ("fullgrad", "fullgrad_feature", "bias")]
        for method in [name for kind in kinds for name in list_methods(kind, memory)]:
            own, wanted = (saliency_maps(method, maps, "bilinear") for maps in (stored, memory))
            torch.testing.assert_close(
                own, wanted, rtol=1e-4, atol=1e-4, msg=lambda text, name=method: f"{name}: {text}"
            )


@pytest.mark.parametrize("change", [lambda path: path, as_before], ids=["as made", "as made before"])
def test_more_than_a_hundred_operations(tmp_path, change):
    network = randomise(Deep())
    decomposition, found = explain(network, torch.randn(2, 3, 16, 16))
    operations = [Operation(found.name, found.layer) for found in decomposition.operations]
    assert len(operations) == 2 * BLOCKS + (BLOCKS + 1) // 2 + 1 > 100
    layers = ["input", *(layer.name for layer in decomposition.layers)]
    path = change(write_found(tmp_path / "s.h5", found, layers, operations))
    assert_maps_of_memory(path, found, bias_layers(decomposition))


def test_a_network_of_timms(tmp_path):
    """ConvNeXt-V2 atto has 130 biased operations: FullGrad's maps of a shard were another network's."""
    network = randomise(timm.create_model("convnextv2_atto", num_classes=10))
    decomposition, found = explain(network, torch.randn(2, 3, 64, 64))
    operations = [Operation(found.name, found.layer) for found in decomposition.operations]
    assert len(operations) > 100
    layers = ["input", *(layer.name for layer in decomposition.layers)]
    path = write_found(tmp_path / "s.h5", found, layers, operations)
    assert_maps_of_memory(path, found, bias_layers(decomposition))


def test_gross_sums_of_a_shard_add_up_to_the_score(tmp_path):
    """Eqs 13 and 14, of a network whose class token has no position: at every layer, for every image."""
    network = randomise(timm.create_model("test_vit", num_classes=10, img_size=32))
    decomposition, found = explain(network.double(), torch.randn(3, 3, 32, 32, dtype=torch.float64))
    operations = [Operation(found.name, found.layer) for found in decomposition.operations]
    layers = ["input", *(layer.name for layer in decomposition.layers)]
    with ShardReader([write_found(tmp_path / "s.h5", found, layers, operations)]) as reader:
        assert reader.read("activity_elsewhere", [0]).any() and reader.read("bias_elsewhere", [0]).any()
        above, images = np.zeros(2), [2, 0]
        score = reader.read("score", images)
        for l in reversed(range(len(layers))):
            np.testing.assert_allclose(reader.gross_sum(l, images) + above, score, rtol=1e-4)
            above += reader.bias_sum(l, images)
            numbers, maps = reader.biased(l), reader.bias_maps(l, images)
            assert len(numbers) == bias_layers(decomposition).count(l)
            for number, found_maps in zip(numbers, maps, strict=True):
                assert np.array_equal(found_maps, reader.read(numbered("bias", number), images))
        assert reader.bias_sum(0, images).tolist() == [0, 0]


@pytest.mark.parametrize("change", [lambda path: path, as_before], ids=["as made", "as made before"])
def test_more_than_a_thousand_layers_and_operations(tmp_path, change):
    path = change(write_made(tmp_path / "s.h5", [0, 1], 1102, 2203))
    with ShardReader([path]) as reader:
        assert reader.layer_names == [f"layer {l}" for l in range(1102)]
        assert reader.operations == [Operation(f"operation {k}", owner(k)) for k in range(2203)]
        maps = ShardMaps(reader, [1, 0])
        for number in (0, 1, 2, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 1101):
            assert maps.activity(number)[:, 0, 0].tolist() == [10_000 + number, number]
            assert maps.bias(number)[:, 0, 0].tolist() == [-10_000 - number, -number]
            assert maps.fullgrad_feature(number)[:, 0, 0].tolist() == [10_000 + number, number]
            if number:
                assert add_biases(maps, number)[1, 0].item() == -(4 * number - 3)  # of operations 2l − 2 and 2l − 1
        assert maps.layers == list(range(1102))


@pytest.mark.parametrize("count", [11, 101])
def test_the_order_of_shards_does_not_matter(tmp_path, count):
    """Files 0.h5, 1.h5, … of an image each, as they were asked for, as text has them, and the other way round."""
    paths = [write_made(tmp_path / f"{k}.h5", [k], 2, 3) for k in range(count)]
    for order in (paths, sorted(paths), paths[::-1]):
        with ShardReader(order) as reader:
            assert reader.images == list(range(count))
            wanted = [count - 1, 2, 10]
            assert reader.read(numbered("bias", 3), wanted)[:, 0, 0].tolist() == [-10_000 * k - 2 for k in wanted]
            assert reader.read("score", reader.images).tolist() == list(range(count))


@pytest.mark.parametrize("count", [11, 101])
def test_the_order_of_result_files_does_not_matter(tmp_path, count):
    paths = []
    for k in range(count):
        image = np.array([count - 1 - k])
        e = image[:, None] / count * [[1.0, 0.5]]
        arrays = {"image": image, "label": image, **dict.fromkeys(STORED, e)}
        paths.append(tmp_path / f"{k}.h5")
        settings = {**dict.fromkeys(SETTINGS, 1), "orders": ["minus", "plus"]}
        write_measurements(paths[-1], ["input", "activity_10"], arrays, settings)
    for order in (paths, sorted(paths), paths[::-1]):
        found = read_measurements(order)
        assert found.image.tolist() == found.label.tolist() == list(range(count))
        assert found.measure("e_plus", "activity_10").tolist() == [k / count * 0.5 for k in range(count)]


# --- shards that aren't whole --------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path) -> Path:
    return write_made(tmp_path / "s.h5", [0, 1], 3, 101)


@pytest.mark.parametrize("change", [lambda path: path, as_before], ids=["as made", "as made before"])
@pytest.mark.parametrize("name", ["bias/101", "bias/100", "fullgrad_feature/09", "activity/02"])
def test_a_map_that_is_missing(made, name, change):
    with h5py.File(change(made), "a") as file:
        del file[name]
    assert refused(ShardReader, [made]) == f"{made}: not a whole attribution shard; it lacks {name}"


def test_a_map_too_many(made):
    with h5py.File(made, "a") as file:
        file["bias/102"] = file["bias/101"][:]
    assert refused(ShardReader, [made]) == f"{made}: not an attribution shard; it holds 102 maps of 101 in bias"


def test_a_list_of_operations_that_is_short(made):
    with h5py.File(made, "a") as file:
        file.attrs["operations"] = file.attrs["operations"][:100]
        del file.attrs[DIGEST]
    assert refused(ShardReader, [made]) == f"{made}: not a whole attribution shard; it names 100 operations of 101"


@pytest.mark.parametrize(("layers", "operations"), [(3, 7), (2, 8)])
def test_shards_of_other_operations(tmp_path, layers, operations):
    """The same network's, found by another version of the code."""
    one, other = write_made(tmp_path / "0.h5", [0], 3, 8), write_made(tmp_path / "1.h5", [1], layers, operations)
    wanted = f"{other}: has other layers or biased operations than {one}; make both again"
    assert refused(ShardReader, [one, other]) == wanted


def test_arrays_of_another_number_are_not_written(tmp_path):
    path = tmp_path / "s.h5"
    with pytest.raises(ValueError, match="zip"), write_hdf5(path) as file:
        ShardWriter(file, 1, IDENTIFIED, ["input"], [], {}).append({**DECIDED, "activity": [np.zeros((1, 2, 2))] * 2})
    assert not path.exists()


# --- values that can't be ------------------------------------------------------------------------------------------

NOT_FINITE = "its logits or score hold NaN or infinite values; all must be finite"
IMPOSSIBLE = [
    ("target", 1, "target is 1; its largest logit is that of 0"),
    ("target", -1, "target is -1; its largest logit is that of 0"),
    ("score", 7.5, "score is 7.5; its target's logit is 1"),
    ("score", np.nan, NOT_FINITE),
    ("logits", np.inf, NOT_FINITE),
]


@pytest.fixture
def two(tmp_path) -> Path:
    """A shard of images 0 and 1, of labels 0 and 1."""
    return write_made(tmp_path / "s.h5", [0, 1], 3, 2)


@pytest.mark.parametrize(("name", "value", "message"), IMPOSSIBLE)
def test_a_decision_that_cannot_be(two, name, value, message):
    with h5py.File(two, "a") as file:
        file[name][1] = value
    again = f"make it again: snakemake --cores all --force {two}"
    with ShardReader([two]) as reader:
        assert reader.read("gradient", [0]).shape == (1, 2, 1)
        for _ in range(2):
            found = refused(reader.read, "gradient", [0, 1])
            if message == NOT_FINITE:
                assert found == f"{two}: {name} of image 1 holds NaN or infinite values; all must be finite; {again}"
            else:
                assert found == f"{two}: image 1: {message}; {again}"


@pytest.mark.parametrize(("name", "value", "message"), IMPOSSIBLE)
def test_a_decision_that_cannot_be_is_not_written(tmp_path, name, value, message):
    path = tmp_path / "s.h5"
    batch = {key: values.copy() for key, values in DECIDED.items()}
    batch[name][0] = value

    def write() -> None:
        with write_hdf5(path) as file:
            ShardWriter(file, 1, IDENTIFIED, ["input"], [], {}).append(batch)

    assert refused(write) == f"{path}: image 0: {message}"
    assert not list(tmp_path.iterdir())


def test_sums_that_are_not_finite(two):
    with h5py.File(two, "a") as file:
        file["bias_elsewhere"][1, 0] = np.nan
    with ShardReader([two]) as reader:
        assert np.isfinite(reader.read("bias_elsewhere", [0])).all()
        found = refused(reader.read, "bias_elsewhere", [0, 1])
    assert found.startswith(
        f"{two}: bias_elsewhere of image 1 holds NaN or infinite values; all must be finite; make it "
    )


def test_shards_of_another_manifest(two):
    rows = [ManifestRow(k, f"{k}.png", str(k), k) for k in range(3)]
    with ShardReader([two]) as reader:
        reader.check_manifest(rows, Path("m.csv"))
        assert refused(reader.check_manifest, rows[:1], Path("m.csv")) == (
            f"{two}: holds image 1; m.csv has images 0 to 0"
        )
        other = [rows[0], ManifestRow(1, "1.png", "2", 2)]
        assert refused(reader.check_manifest, other, Path("m.csv")) == (
            f"{two}: label of image 1 is 1; m.csv has 2; make it again: snakemake --cores all --force {two}"
        )


def test_steps_that_have_a_manifest_compare_it():
    """Every script that reads a manifest and shards."""
    for path in (ROOT / "scripts").glob("*.py"):
        text = path.read_text()
        if "read_manifest(" in text and "ShardReader(" in text:
            assert "reader.check_manifest(rows, manifest)" in text, path
