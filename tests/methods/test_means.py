"""The mean map of a method: against a loop, of files and of shards; its δ is 0; what is refused."""

import numpy as np
import pytest
import torch
from conftest import HERE, refused, remove

import make_maps as step
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.files.measurements import read_measurements
from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.methods.sources.mean import average

NORM, IMAGES = {"source": "controls", "name": "norm"}, list(range(10))


def make(world, output, settings, name="vgg16", method="mine", **changes):
    flags = {"network": world.networks[name], "manifest": world.manifest, "images": world.images, "output": output}
    flags |= {"shards": [world.shards[name]], "method": method, "settings": settings, "shard": 0, "shard_size": 100}
    step.main(**{**flags, "batch": 4, "seed": 0, **HERE, **changes})
    return output


def read(files, world, name="vgg16") -> np.ndarray:
    return MadeMaps(files, file_hash(world.networks[name])).choose(IMAGES)


def literal_mean(maps: np.ndarray) -> np.ndarray:
    """Pixel by pixel, of maps (n, H, W), each divided by the sum of its magnitudes."""
    mean = np.zeros(maps.shape[1:])
    for each in maps:
        total = sum(abs(float(value)) for value in each.flat)
        mean += each / total if total else 0
    return mean / len(maps)


def test_the_mean_of_made_maps(world, tmp_path):
    """Of all images, whatever block is made; the same for each."""
    parts = [make(world, tmp_path / f"{k}.h5", NORM, shard=k, shard_size=6) for k in (0, 1)]
    settings = {"source": "mean", "of": "norm"}
    blocks = [make(world, tmp_path / f"m{k}.h5", settings, shard=k, shard_size=6, of=parts) for k in (0, 1)]
    found = read(blocks, world)
    assert (found == found[0]).all()
    np.testing.assert_allclose(found[0], literal_mean(read(parts, world)), rtol=1e-5)


@pytest.mark.parametrize("of", ["gradient", "activity_13", "signed_activity_13"])
def test_the_mean_of_maps_of_shards(world, tmp_path, of):
    made = make(world, tmp_path / "m.h5", {"source": "mean", "of": of}, upsampling="nearest")
    with ShardReader([world.shards["vgg16"]]) as reader:
        maps = saliency_maps(parse_method(of), ShardMaps(reader, IMAGES), "nearest").numpy()
    np.testing.assert_allclose(read([made], world)[3], literal_mean(maps), rtol=1e-5, atol=1e-9)


def test_no_map_counts_for_more_than_another():
    maps = torch.tensor([[[1.0, 3.0]], [[-2000.0, 2000.0]], [[0.0, 0.0]]])
    found = average(lambda images: maps[list(images)], 3, (1, 2))
    assert found.tolist() == [[pytest.approx(-0.25 / 3), pytest.approx(1.25 / 3)]]


def test_its_delta_is_0(world, tmp_path):
    """Another image's map is the same map; e itself is not 0."""
    made = make(world, tmp_path / "m.h5", {"source": "mean", "of": "gradient"})
    removed = read_measurements([remove(world, "vgg16", tmp_path / "r.h5", method="mine", maps=[made])])
    for order in ("minus", "plus"):
        assert not removed.measure(f"delta_e_{order}", "mine").any()
        assert removed.measure(f"e_{order}", "mine").any()
    gradient = read_measurements([remove(world, "vgg16", tmp_path / "g.h5", method="gradient")])
    assert gradient.measure("delta_e_minus", "gradient").any()


def test_where_a_method_does_not_apply_neither_does_its_mean(world, tmp_path, capsys):
    deeplift = {"source": "captum", "name": "DeepLift"}
    other = make(world, tmp_path / "d.h5", deeplift, name="resnet50", method="deeplift")
    said = "module layer1.0.relu is called 3 times, and DeepLift takes it for one step"
    capsys.readouterr()
    settings = {"source": "mean", "of": "deeplift"}
    made = make(world, tmp_path / "m.h5", settings, name="resnet50", of=[other])
    assert capsys.readouterr().out == f"mine is not applicable to resnet50, because {said}\n"
    assert MadeMaps([made], file_hash(world.networks["resnet50"])).not_applicable == said


def test_maps_that_lack_an_image_and_layers_that_there_are_none_of(world, tmp_path):
    part = make(world, tmp_path / "p.h5", NORM, shard_size=6)
    said = refused(make, world, tmp_path / "m.h5", {"source": "mean", "of": "norm"}, of=[part])
    assert said == f"methods.mine: {tmp_path}: its files of maps lack image 6 of the manifest"
    said = refused(make, world, tmp_path / "m.h5", {"source": "mean", "of": "activity_99"})
    assert said.startswith("methods.mine: method is activity_99; allowed layers are 0 to ")
