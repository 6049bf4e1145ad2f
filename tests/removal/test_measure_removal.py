"""The removal step: e of real maps against a literal loop, the same numbers from any shards and batches."""

import re

import h5py
import literal
import numpy as np
import pytest
import torch
from conftest import extract, refused, remove
from small import describe
from torch.fx.experimental.optimization import fuse

from explanations.data.images import load_images
from explanations.files.hdf5 import read_attributes
from explanations.files.manifests import read_manifest
from explanations.files.measurements import NEVER, STORED, read_measurements
from explanations.files.shards import ShardReader
from explanations.methods.maps import ShardMaps
from explanations.methods.names import parse_method
from explanations.methods.saliency import saliency_maps
from explanations.networks.decisions import has_half
from explanations.networks.files import load_network, preprocess, save_network
from explanations.removal.orders import noise_partners, tie_orders

GRID, SEED = 6, 0


@pytest.mark.parametrize(("ties", "fill"), [("random", 0.3), ("raster", -2.0)])
def test_e_of_s_and_noise_against_a_plain_loop(world, tmp_path, ties, fill):
    settings = {"ties": ties, "noise_maps": 2, "fill": fill}
    outputs = [
        remove(world, "vgg16", tmp_path / f"{kind}.h5", method=kind, **settings) for kind in ("gradient", "activity")
    ]
    network, description = load_network(world.networks["vgg16"])
    rows = read_manifest(world.manifest)
    images = preprocess(
        torch.from_numpy(load_images([row.picture(world.images, world.manifest) for row in rows], description.framing)),
        description,
    )
    partners = noise_partners(len(rows), 2, SEED)
    found = read_measurements(outputs)
    with ShardReader([world.shards["vgg16"]]) as reader, torch.no_grad():
        maps = ShardMaps(reader, range(len(rows)))
        for method, images_of in (("gradient", [1]), ("activity_13", [6, 7])):
            s = saliency_maps(parse_method(method), maps, "bilinear").numpy()
            for image in images_of:
                target = network(images[image : image + 1]).argmax(1).item()
                order = tie_orders([image], s[0].size, SEED, ties)[0].tolist()  # the same for s and ξ

                def e(values, reverse, image=image, target=target, order=order):
                    pixels = literal.ascending(values, order)
                    pixels = pixels[::-1] if reverse else pixels
                    return literal.removal(network, images[image], target, pixels, GRID, fill)

                for name, reverse in (("minus", False), ("plus", True)):
                    own = e(s[image], reverse)
                    noise = [e(s[partner], reverse) for partner in partners[image]]
                    measured = (
                        found.measure(f"e_{name}", method)[image],
                        found.measure(f"e_{name}_noise", method)[image],
                    )
                    assert measured == pytest.approx((own[1], (noise[0][1] + noise[1][1]) / 2), abs=1e-5)
                    column = found.methods.index(method)
                    assert found.values[f"flip_{name}"][image, column] == own[0]
                    assert found.values[f"flip_{name}_noise"][image, column].tolist() == [n[0] for n in noise]
    assert (found.values["flip_minus"] != found.values["flip_plus"]).any()


def test_one_order_alone_gives_the_same(world, tmp_path):
    both = read_measurements([remove(world, "vgg16", tmp_path / "both.h5")])
    for order, other in (("minus", "plus"), ("plus", "minus")):
        one = read_measurements([remove(world, "vgg16", tmp_path / f"{order}.h5", orders=[order])])
        assert one.methods == both.methods and set(one.orders.values()) == {(order,)}
        for name in (f"e_{order}", f"e_{order}_noise", f"flip_{order}", f"flip_{order}_noise"):
            assert np.array_equal(one.values[name], both.values[name]), name
        assert np.isnan(one.values[f"e_{other}"]).all()
    said = refused(remove, world, "vgg16", tmp_path / "none.h5", orders=["plus", "minus"])
    assert said == "--orders is plus minus; allowed are minus, plus, or minus plus"


@pytest.mark.parametrize(("name", "noise_maps"), [("vgg16", 2), ("resnet50", 1)])
def test_shards_and_batches_do_not_change_numbers(world, tmp_path, name, noise_maps):
    settings = {"noise_maps": noise_maps, "grid": 4}
    whole = read_measurements([remove(world, name, tmp_path / "whole.h5", **settings)])
    blocks = [
        remove(world, name, tmp_path / f"{shard}.h5", shard=shard, shard_size=4, batch=31, **settings)
        for shard in range(3)
    ]
    parts = read_measurements([blocks[2], blocks[0], blocks[1]])  # in any order
    assert parts.methods == whole.methods
    assert parts.image.tolist() == whole.image.tolist() == list(range(10))
    assert parts.label.tolist() == whole.label.tolist()
    assert parts.values.keys() == whole.values.keys()
    for key, values in whole.values.items():
        assert np.array_equal(parts.values[key], values), key


def test_attribution_shards_do_not_change_numbers(world, tmp_path):
    shards = [
        extract(world, "vgg16", tmp_path / f"a{shard}.h5", shard=shard, shard_size=5, batch=5) for shard in (0, 1)
    ]
    whole = extract(world, "vgg16", tmp_path / "whole.h5", batch=5)  # other batches round otherwise
    one = read_measurements([remove(world, "vgg16", tmp_path / "one.h5", shards=[whole])])
    two = read_measurements([remove(world, "vgg16", tmp_path / "two.h5", shards=shards[::-1])])
    for key, values in one.values.items():
        assert np.array_equal(two.values[key], values), key


def test_methods_stand_side_by_side(world, results):
    found = read_measurements(list(results.values()))
    assert found.methods[:2] == ["gradient", "input"]
    assert {"activity_13", "bias_13", "fullgrad", "gradcam"} <= set(found.methods)
    assert len(found.methods) == len(set(found.methods)) == 2 + 13 + 13 + 12 + 4
    assert found.values["e_minus"].shape == (10, 44)


def test_never_flipping_is_one_or_excluded(world, tmp_path):
    one, without = (
        read_measurements([remove(world, "vgg16", tmp_path / f"{key}.h5", never_flips=key, fill=0.0, grid=4)])
        for key in ("one", "exclude")
    )
    never = one.values["flip_minus"] == NEVER
    assert never.any() and not never.all()
    assert (one.values["e_minus"][never] == 1).all()
    assert np.isnan(without.values["e_minus"][never]).all()
    assert np.array_equal(without.values["e_minus"][~never], one.values["e_minus"][~never])
    noise = (one.values["flip_minus_noise"] == NEVER).any(-1)
    assert np.array_equal(np.isnan(without.values["e_minus_noise"]), noise)


@pytest.mark.parametrize("fill", [0.0, -2.0])
def test_e_is_a_share_of_the_signal(world, tmp_path, fill):
    found = read_measurements([remove(world, "vgg16", tmp_path / "r.h5", fill=fill)])
    for name in STORED:
        assert ((found.values[name] > 0) & (found.values[name] <= 1)).all()


def test_settings_are_kept(results, world):
    with h5py.File(results["gradient"]) as file, h5py.File(world.shards["vgg16"]) as shard:
        for key in ("experiment", "network", "variant", "weights"):
            assert file.attrs[key] == shard.attrs[key]
        found = read_attributes(file)
        assert (found["grid"], found["noise_maps"], found["ties"]) == (6, 1, "random")


def test_the_seed_changes_the_noise_and_not_s(world, tmp_path, results):
    first = read_measurements([results["gradient"]])
    second = read_measurements([remove(world, "vgg16", tmp_path / "r.h5", seed=1, method="gradient")])
    column = first.methods.index("gradient")  # without ties
    assert np.array_equal(first.values["e_minus"][:, column], second.values["e_minus"][:, column])
    assert not np.array_equal(first.values["e_minus_noise"][:, column], second.values["e_minus_noise"][:, column])


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_the_fused_network_decides_as_the_network(world, name):
    network, _ = load_network(world.networks[name])
    images = torch.randn(6, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(fuse(network)(images), network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not has_half("bfloat16"), reason="this CPU has no bfloat16")
@pytest.mark.parametrize(("name", "batch"), [("vgg16", 64), ("resnet50", 64), ("vgg16", 3)])
def test_flips_found_in_bfloat16_are_float32s(world, tmp_path, capsys, name, batch):
    """Also where a batch is smaller than the block of images, all of which must have the shard's logits."""
    files = {precision: tmp_path / f"{precision}.h5" for precision in ("float32", "bfloat16")}
    for precision, path in files.items():
        remove(world, name, path, precision=precision, batch=batch, method="activity_from")
    with h5py.File(files["float32"]) as wanted, h5py.File(files["bfloat16"]) as found:
        for key in ("flip_minus", "flip_plus", "flip_minus_noise", "e_minus", "e_plus_noise"):
            np.testing.assert_array_equal(found[key][:], wanted[key][:])
    said = capsys.readouterr()
    assert "bfloat16: " in said.out and "of passes in float32 too" in said.out and "0 decisions missed" in said.out
    # a slow run has other lines before its last
    ends = [line for line in said.err.splitlines() if re.search(r": (\d+)/\1 scan", line)]
    for line, share in zip(ends, ("", "% of passes in float32 too"), strict=True):
        assert re.search(rf"scan/s, \d+ passes/s, 10.0 images' worth(, [\d.]+{share})?$", line), line
        assert line.endswith(share)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fill_that_overflows_is_refused_by_name(world, tmp_path, precision):
    """The network's logits are so large that those of its images are just finite."""
    network, _ = load_network(world.networks["vgg16"])
    with torch.no_grad():
        network.classifier[-1].weight *= 1e34
    path = tmp_path / "large.safetensors"
    save_network(path, network, describe("vgg16"))
    shard = extract(world, "large", tmp_path / "0.h5", network=path)
    output = tmp_path / "results" / "r.h5"
    output.parent.mkdir()
    message = refused(remove, world, "large", output, network=path, shards=[shard], fill=-1e6, precision=precision)
    assert re.fullmatch(
        r"removal\.fill is -1e\+06; the logits of \d/\d+\.png with \d+ pixels removed are NaN or infinite; allowed is "
        r"a value with which they are finite \(its pixels are -\d\S* to \d\S* in the network's input space\)",
        message,
    )
    assert not [*output.parent.iterdir()]


def test_logits_that_are_all_0_are_no_gap_and_never_flip(world, tmp_path):
    """Maps are constant too: all pixels are ties."""
    network, _ = load_network(world.networks["resnet50"])
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.bias.zero_()
    path = tmp_path / "flat.safetensors"
    save_network(path, network, describe("resnet50"))
    shard = extract(world, "resnet50", tmp_path / "shard.h5", network=path)
    output = remove(world, "resnet50", tmp_path / "r.h5", network=path, shards=[shard])
    found = read_measurements([output])
    assert (found.values["flip_minus"] == NEVER).all() and (found.values["flip_plus_noise"] == NEVER).all()
    assert all((found.values[name] == 1).all() for name in STORED)
