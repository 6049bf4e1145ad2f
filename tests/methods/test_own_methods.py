"""Methods with passes of their own: each against its library on one image, or a slow version; batches and shards."""

import copy
import importlib.util

import h5py
import numpy as np
import pytest
import torch
import yaml
from captum import attr
from conftest import HERE, refused, remove
from PIL import Image
from small import SIZE, build
from torch import nn
from torch.nn import functional as F
from workflow_copy import ROOT

import make_maps as step
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps, read_about
from explanations.files.measurements import read_measurements
from explanations.methods.names import check_own_name
from explanations.methods.sources import controls, rise
from explanations.methods.sources.base import Method, NotApplicableError, Untouched, make_maps, seeded
from explanations.methods.sources.registry import (
    CAPTUM,
    SOURCES,
    complete_settings,
    count_passes,
    load_source,
    source_module,
)

SHAPE = (SIZE, SIZE)
NAMES = ["a/0.png", "a/1.png", "b/2.png"]
# a few samples, so that tests are fast
FEW = {"n_steps": 4, "n_samples": 60, "noise_samples": 3, "masks": 60, "window": 16, "stride": 16, "patch": 16}
FEW["segments"] = "squares"  # those that these tests cut by themselves; superpixels: test_superpixels.py
RANDOM = ("GradientShap", "KernelShap", "Lime")


def prepare(network, **method):
    complete = complete_settings(method)
    few = {key: value for key, value in FEW.items() if key in complete and key not in method}
    return load_source(method["source"]).prepare({**complete, **few}, network, SHAPE, NAMES)


@pytest.fixture(scope="module")
def network():
    return build("vgg16", seed=3).requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, *SHAPE, generator=torch.Generator().manual_seed(1))


TARGETS = torch.tensor([1, 7, 1])


def ask_captum(name, network, image, target):
    """What the library itself gives of one image (1, C, H, W), by the few settings of these tests."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    zeros, channels = torch.zeros_like(image), image.shape[1]
    grid = torch.arange(SIZE) // 16
    squares = (grid[:, None] * 2 + grid)[None, None]
    options = {
        "Saliency": {"abs": False},
        "IntegratedGradients": {"n_steps": 4, "baselines": zeros},
        "DeepLift": {"baselines": zeros},
        "GradientShap": {"n_samples": 60, "stdevs": 0.15, "baselines": zeros},
        "Occlusion": {"sliding_window_shapes": (channels, 16, 16), "strides": (channels, 16, 16), "baselines": zeros},
        "FeatureAblation": {"feature_mask": squares, "baselines": zeros},
        "KernelShap": {"feature_mask": squares, "baselines": zeros, "n_samples": 60, "perturbations_per_eval": 50},
        "Lime": {"feature_mask": squares, "baselines": zeros, "n_samples": 60, "perturbations_per_eval": 50},
    }.get(name, {})
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1:]
    library = getattr(attr, name)(network, *(last if name == "GuidedGradCam" else ()))
    return library.attribute(image, target=target, **options)[0]


@pytest.mark.parametrize("name", CAPTUM)
def test_captums_methods_are_the_librarys(name, network, images):
    """Of every image of a batch, whatever the batch; random ones by the image's seed."""
    prepared, before = prepare(network, source="captum", name=name), Untouched(network)
    made = make_maps(prepared, images, TARGETS, [0, 1, 2], 5, 2)
    before.check()
    assert made.shape == (3, *SHAPE) and made.dtype == torch.float32
    gaps = torch.cat(prepared.gaps) if prepared.gaps else []
    for index, (image, target, found) in enumerate(zip(images, TARGETS, made, strict=True)):
        with seeded(5, index):
            wanted = ask_captum(name, network, image[None], int(target))
        if len(gaps):
            score = float(network(image[None])[0, target])
            score -= 0 if name == "LRP" else float(network(torch.zeros_like(image[None]))[0, target])
            assert float(gaps[index]) == pytest.approx(
                abs(float(wanted.sum()) - score) / abs(score), rel=0.02, abs=1e-4
            )
        magnitudes = name in ("Saliency", "GuidedBackprop", "Deconvolution")
        wanted = wanted.abs().sum(0) if magnitudes else wanted.sum(0).abs()
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-5 * float(wanted.max())), name
        assert float(wanted.max()) > 0
    assert len(gaps) == 3 * (name in ("IntegratedGradients", "DeepLift", "GradientShap", "LRP"))


@pytest.mark.parametrize("noise", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_noise_is_averaged_over(noise, network, images):
    """NoiseTunnel's mean, mean square and variance of the gradients of noisy images."""
    found = make_maps(prepare(network, source="captum", name="Saliency", noise=noise), images, TARGETS, [4, 5, 6], 0, 2)
    for index, image in enumerate(images):
        with seeded(0, 4 + index):
            stdev = 0.15 * float(image.max() - image.min())
            noisy = image + torch.normal(0.0, torch.full((3, *image.shape), stdev))
        noisy.requires_grad_()
        logits = copy.deepcopy(network)(noisy)
        gradients = torch.autograd.grad(logits[:, TARGETS[index]].sum(), noisy)[0]
        wanted = {
            "smoothgrad": gradients.mean(0),
            "smoothgrad_sq": gradients.square().mean(0),
            "vargrad": gradients.square().mean(0) - gradients.mean(0).square(),
        }[noise]
        assert torch.allclose(found[index], wanted.abs().sum(0), rtol=1e-3, atol=1e-6), noise


@pytest.mark.parametrize("channels", ["magnitude_of_sum", "sum_of_magnitudes", "sum"])
def test_channels(channels, network, images):
    found = make_maps(
        prepare(network, source="captum", name="InputXGradient", channels=channels), images, TARGETS, [0, 1, 2], 0, 3
    )
    wanted = torch.stack(
        [ask_captum("InputXGradient", network, i[None], int(t)) for i, t in zip(images, TARGETS, strict=True)]
    )
    wanted = {"sum": wanted.sum(1), "magnitude_of_sum": wanted.sum(1).abs(), "sum_of_magnitudes": wanted.abs().sum(1)}
    assert torch.allclose(found, wanted[channels], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "method", "reason"),
    [
        ("convnext", "GuidedBackprop", "the network has no ReLU"),
        ("efficientnet", "Deconvolution", "the network has no ReLU"),
        ("convnext", "GuidedGradCam", "the network has no ReLU"),
        ("vit", "GuidedBackprop", "the network has activations that are no ReLU: "),
        ("resnet50", "DeepLift", "module layer1.0.relu is called 3 times, and DeepLift takes it for one step"),
        ("vit", "LRP", "Captum says: "),
    ],
)
def test_methods_that_do_not_apply_say_why(name, method, reason, images):
    network = build(name, seed=3)
    with pytest.raises(NotApplicableError, match=f"^{reason}") as raised:
        make_maps(prepare(network, source="captum", name=method), images, TARGETS, [0, 1, 2], 0, 3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "efficientnet", "convnext", "vit"])
@pytest.mark.parametrize("source", ["captum", "fullgrad", "controls", "rise", "attention"])
def test_every_method_gives_maps_of_every_network_or_says_why_not(name, source, images):
    network, reasons = build(name, seed=3).requires_grad_(False), []
    methods = [{"source": source} | ({"name": method} if method else {}) for method in SOURCES[source].names]
    untouched = Untouched(network)
    for method in methods:
        try:
            made = make_maps(prepare(network, **method), images[:2], TARGETS[:2], [0, 1], 0, 2)
        except NotApplicableError as error:
            reasons.append(str(error))
        else:
            assert made.shape == (2, *SHAPE) and made.isfinite().all()
        untouched.check()
    assert all(reason and "\n" not in reason for reason in reasons)
    assert len(reasons) <= len(methods) / 2 or reasons == ["the network has no attention"] * 2


@pytest.mark.parametrize("method", [{"source": "controls", "name": "random"}, {"source": "rise"}])
def test_random_maps_are_the_images_own(method, network, images):
    """By the seed and the image alone: neither the batch, nor the shard, nor what was drawn before."""
    prepared = prepare(network, **method)
    together = make_maps(prepared, images, TARGETS, [0, 1, 2], 7, 2)
    torch.rand(5)
    state = torch.get_rng_state()
    alone = make_maps(prepared, images[2:], TARGETS[2:], [2], 7, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together, make_maps(prepared, images, TARGETS, [0, 1, 2], 8, 2))
    assert not torch.equal(together[0], together[2])


def test_controls(images):
    """Literally: Sobel's two filters at a pixel, the distance from the middle, the pixel's norm."""
    edges, middle = controls.find_edges(images), controls.centre(images, 0.25)
    padded = np.pad(images.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge")
    for row, column in ((0, 0), (5, 9), (31, 31)):
        total = 0.0
        for plane in padded[1, :, row : row + 3, column : column + 3]:
            across = (plane[:, 0] - plane[:, 2]) @ [1, 2, 1] / 8
            down = (plane[0] - plane[2]) @ [1, 2, 1] / 8
            total += np.hypot(across, down)
        assert edges[1, row, column] == pytest.approx(total, rel=1e-5)
        distance = ((row + 0.5) / SIZE - 0.5) ** 2 + ((column + 0.5) / SIZE - 0.5) ** 2
        assert middle[2, row, column] == pytest.approx(np.exp(-distance / (2 * 0.25**2)), rel=1e-5)
    norm = make_maps(prepare(None, source="controls", name="norm"), images, TARGETS, [0, 1, 2], 0, 3)
    assert norm[0, 3, 4] == pytest.approx(float(images[0, :, 3, 4].square().sum().sqrt()), rel=1e-6)


def test_rise_is_the_mean_of_masks_by_probability(network, images):
    made = make_maps(prepare(network, source="rise"), images[:1], TARGETS[:1], [9], 0, 1)
    with seeded(0, 9):
        masks = rise.draw_masks(60, 7, 0.5, SHAPE)
    total = torch.zeros(SHAPE)
    for mask in masks:
        total += mask * F.softmax(network((images[0] * mask)[None]), 1)[0, TARGETS[0]]
    assert torch.allclose(made[0], total / (60 * 0.5), rtol=1e-4, atol=1e-7)
    assert float(masks.min()) >= 0 and float(masks.max()) <= 1 and abs(float(masks.mean()) - 0.5) < 0.05


# --- one's own ---------------------------------------------------------------------------------------------------

GRADIENT = """
import torch

def explain(network, images, targets, power=1):
    images = images.clone().requires_grad_()
    scores = network(images).gather(1, targets[:, None]).sum()
    return torch.autograd.grad(scores, images)[0].abs().sum(1) ** power
"""


def test_a_file_of_ones_own(tmp_path, network, images):
    path = tmp_path / "mine.py"
    path.write_text(GRADIENT)
    mine = make_maps(prepare(network, source="file", path=str(path), power=2), images, TARGETS, [0, 1, 2], 0, 2)
    saliency = make_maps(prepare(network, source="captum", name="Saliency"), images, TARGETS, [0, 1, 2], 0, 2)
    assert torch.allclose(mine, saliency**2, rtol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", "can't be imported, SyntaxError: "),
        ("import nothing_like_it", "can't be imported, ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("explain = 3", "has no function explain(network, images, targets)"),
        ("def explain(network, images, targets): return 1 / 0", "explain raised ZeroDivisionError: division by zero"),
        ("def explain(network, images): return images", "explain raised TypeError: explain() takes 2 positional"),
        (
            "def explain(network, images, targets): return images",
            "its maps are of (2, 3, 32, 32); allowed is (2, 32, 32)",
        ),
        ("def explain(network, images, targets): return images[0, 0] / 0", "its maps are of (32, 32); allowed is"),
        ("def explain(network, images, targets): return 3", "its maps are int; allowed is a tensor of (n, H, W)"),
        ("def explain(network, images, targets): return images[:, 0] / 0", "its maps hold NaN or infinite values"),
    ],
)
def test_files_that_make_no_maps_are_refused_in_a_line(text, message, tmp_path, network, images):
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert message in refused(
        lambda: make_maps(prepare(network, source="file", path=str(path)), images[:2], TARGETS[:2], [0, 1], 0, 2)
    )


def test_a_network_that_was_changed_is_noticed(network):
    changed = copy.deepcopy(network)
    untouched = Untouched(changed)
    untouched.check()
    changed.train()
    assert refused(untouched.check) == "it left the network in training mode"
    changed.eval()
    handle = changed.features[0].register_forward_hook(lambda *_: None)
    assert refused(untouched.check) == "it left hooks on the network's module features.0"
    handle.remove()
    changed.features[0].weight[0] += 1
    assert "features.0.weight has other values than before" in refused(untouched.check)


def test_maps_of_ones_own(tmp_path):
    """From a folder, npz and HDF5, by the images' paths or in their order; of any size."""
    rng = np.random.default_rng(0)
    maps = rng.random((3, 8, 8)).astype(np.float32)
    folder = tmp_path / "folder"
    for name, values in zip(NAMES, maps, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save((folder / name).with_suffix(".npy"), values)
    np.savez(tmp_path / "named.npz", **dict(zip(NAMES, maps, strict=True)))
    np.savez(tmp_path / "stacked.npz", maps=maps)
    with h5py.File(tmp_path / "turned.h5", "w") as file:
        file["maps"], file["images"] = maps[::-1], NAMES[::-1]
    wanted = F.interpolate(torch.from_numpy(maps)[:, None], SHAPE, mode="bilinear", align_corners=False)[:, 0]
    blank = torch.zeros(3, 3, *SHAPE)
    for name in ("folder", "named.npz", "stacked.npz", "turned.h5"):
        method = prepare(None, source="maps", path=str(tmp_path / name))
        assert torch.equal(make_maps(method, blank, TARGETS, [0, 1, 2], 0, 2), wanted), name


def test_pictures_as_maps(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / name)
    made = make_maps(
        prepare(None, source="maps", path=str(tmp_path)), torch.zeros(1, 3, *SHAPE), TARGETS[:1], [1], 0, 1
    )
    assert made.shape == (1, *SHAPE) and made.max() > 60


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.write_text("nothing"), "can't be read as npz or HDF5"),
        (lambda path: np.savez(path, maps=np.zeros((2, 8, 8))), "maps holds 2 maps; the manifest has 3 images"),
        (lambda path: np.savez(path, other=np.zeros((2, 8, 8))), "has no map of a/0.png"),
        (lambda path: np.savez(path, maps=np.zeros((3, 8, 8, 3))), "the map of a/0.png is of (8, 8, 3)"),
        (lambda path: np.savez(path, maps=np.full((3, 8, 8), np.nan)), "the map of a/0.png holds NaN"),
        (lambda path: path.mkdir(), "has no map of a/0.png; it can be "),
    ],
)
def test_maps_that_are_none_are_refused_in_a_line(write, message, tmp_path):
    path = tmp_path / "mine.npz"
    write(path)
    blank = torch.zeros(3, 3, *SHAPE)
    said = refused(lambda: make_maps(prepare(None, source="maps", path=str(path)), blank, TARGETS, [0, 1, 2], 0, 3))
    assert said.startswith(str(path)) and message in said


# --- the step, and removal by its maps ---------------------------------------------------------------------------


def make(world, name, output, **changes):
    flags = {"network": world.networks[name], "manifest": world.manifest, "images": world.images}
    flags |= {"shards": [world.shards[name]], "method": "mine", "settings": {"source": "controls", "name": "sobel"}}
    flags |= {"shard": 0, "shard_size": 100, "batch": 4, "seed": 0, **HERE, "output": output}
    step.main(**flags | changes)
    return output


def test_maps_are_removed_by_and_noise_maps_cost_nothing(world, tmp_path):
    """A file whose function is the gradient, and the decomposition's own gradient, are the same method."""
    path = tmp_path / "mine.py"
    path.write_text(GRADIENT)
    settings = {"source": "file", "path": str(path)}
    parts = [make(world, "vgg16", tmp_path / f"{k}.h5", settings=settings, shard=k, shard_size=6) for k in (0, 1)]
    maps = MadeMaps(parts, file_hash(world.networks["vgg16"]))
    assert maps.not_applicable == "" and sorted(maps.maps) == list(range(10))
    mine = read_measurements([remove(world, "vgg16", tmp_path / "removal.h5", method="mine", maps=parts)])
    own = read_measurements([remove(world, "vgg16", tmp_path / "own.h5", method="gradient")])
    assert mine.methods == ["mine"]
    for measure in ("delta_e_minus", "e_plus_noise"):
        assert np.allclose(mine.measure(measure, "mine"), own.measure(measure, "gradient"), atol=1e-6)


def test_a_method_that_does_not_apply_is_stored_with_its_reason(world, tmp_path, capsys):
    settings = {"source": "captum", "name": "DeepLift"}
    made = make(world, "resnet50", tmp_path / "maps.h5", settings=settings)
    said = "module layer1.0.relu is called 3 times, and DeepLift takes it for one step"
    assert f"mine is not applicable to resnet50, because {said}" in capsys.readouterr().out
    assert MadeMaps([made], file_hash(world.networks["resnet50"])).not_applicable == said
    results = read_measurements([remove(world, "resnet50", tmp_path / "removal.h5", method="mine", maps=[made])])
    assert results.methods == []


def test_maps_of_another_network_or_method_are_refused(world, tmp_path):
    made = make(world, "vgg16", tmp_path / "maps.h5", shard_size=5)
    assert "was made of another network" in refused(MadeMaps, [made], file_hash(world.networks["resnet50"]))
    other = make(world, "vgg16", tmp_path / "other.h5", method="other", shard=1, shard_size=5)
    assert "method is other; " in refused(MadeMaps, [made, other], file_hash(world.networks["vgg16"]))
    assert "lack image" in refused(remove, world, "vgg16", tmp_path / "r.h5", method="mine", maps=[made])


def test_settings_that_are_wrong_name_their_key(world, tmp_path):
    flags = {"settings": {"source": "captum", "name": "IntegratedGradients", "n_steps": 0}}
    said = refused(make, world, "vgg16", tmp_path / "maps.h5", **flags)
    assert said == "methods.mine.n_steps is 0; allowed is a whole number of at least 1"
    assert not (tmp_path / "maps.h5").exists()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"source": "captum"}, "name is ; allowed are Saliency, "),
        ({"source": "captum", "name": "saliency"}, "name is saliency; allowed are Saliency, "),
        (
            {"source": "captum", "name": "Saliency", "n_steps": 3},
            "n_steps is not a known key of Saliency; allowed are source, ",
        ),
        ({"source": "captum", "name": "Saliency", "noise": "much"}, "noise is much; allowed are none, smoothgrad, "),
        ({"source": "rise", "kept": 0}, "kept is 0; allowed is a number above 0"),
        ({"source": "rise", "masks": 2.5}, "masks is 2.5; allowed is a whole number of at least 1"),
        ({"source": "file", "path": ""}, "path is missing; allowed is the path of a file or folder"),
        ({"source": "file", "path": "{a}"}, "path is {a}; allowed is a path without { and }"),
        ({"source": "captum", "name": "Occlusion", "window": 2}, "stride is 4; allowed is at most window, 2"),
        ({"source": "file"}, "path is missing; allowed is the path of a file or folder"),
        ({"source": "mean"}, "of is missing; allowed is the name of another method"),
        ({"source": "mean", "of": 3}, "of is missing; allowed is the name of another method"),
        ({"source": "fullgrad", "normalise": "max"}, "normalise is max; allowed are image, batch"),
        ({"source": "cam", "of": "x"}, "of is not a known key of cam; allowed are source, title"),
        (
            {"source": "captum", "name": "Lime", "segments": "cells"},
            "segments is cells; allowed are superpixels, squares",
        ),
        ({"source": "captum", "name": "Lime", "patch": 4}, "patch is 4; allowed with segments: squares alone"),
        (
            {"source": "captum", "name": "KernelShap", "segments": "squares", "n_segments": 9},
            "n_segments is 9; allowed with segments: superpixels alone",
        ),
        (
            {"source": "captum", "name": "FeatureAblation", "segments": "squares"},
            "segments is not a known key of FeatureAblation; allowed are source, title, name, patch",
        ),
        (
            {"source": "maps", "path": "x", "more": 1},
            "more is not a known key of maps; allowed are source, title, path",
        ),
        ({"source": "nothing"}, "source is nothing; allowed are captum, "),
    ],
)
def test_settings(method, message):
    assert refused(complete_settings, method).startswith(message)


def test_names_of_ones_own():
    for name in ("gradient", "activity_3", "signed_mine", "layers", "activity"):
        assert refused(check_own_name, name, ("layers",)).startswith(
            f"methods has {name}, no name for a method of one's own"
        )
    check_own_name("ig", ("layers",))


def test_sources_are_listed():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    keys = schema["properties"]["methods"]["additionalProperties"]["properties"]
    assert set(keys["source"]["enum"]) == SOURCES.keys()
    for name, entry in SOURCES.items():
        assert (ROOT / "scripts" / source_module(name)).is_file()
        if not entry.extra or importlib.util.find_spec(entry.extra):
            assert callable(load_source(name).prepare)
    assert refused(load_source, "mine").startswith("source is mine; allowed are captum, ")


def test_a_library_that_is_absent_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = "source is gradcam; its library, pytorch_grad_cam, is not installed: make extras"
    assert refused(load_source, "gradcam") == said


def test_all_maps_of_a_batch_have_its_size():
    seen = []

    def call(images, targets, indices):
        seen.append((len(images), len(targets), list(indices)))
        return images[:, 0]

    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 2)
    made = make_maps(Method(call), images, torch.arange(5), [3, 4, 5, 6, 7], 0, 2)
    assert made[:, 0, 0].tolist() == [0, 1, 2, 3, 4] and seen == [(2, 2, [3, 4]), (2, 2, [5, 6]), (2, 2, [7, 7])]


@pytest.mark.parametrize("name", CAPTUM)
@pytest.mark.parametrize("noise", ["none", "smoothgrad"])
def test_passes_are_counted(name, noise, network, images):
    """As many images pass the network as the registry says: what a method costs."""
    method = {"source": "captum", "name": name} | ({"noise": noise} if noise != "none" else {})
    if noise != "none" and "noise" not in CAPTUM[name].settings:
        assert "noise is not a known key of" in refused(complete_settings, method)
        return
    few = {key: value for key, value in FEW.items() if key in CAPTUM[name].settings}
    seen = []
    counted = copy.deepcopy(network)
    counted.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    make_maps(prepare(counted, **method, **few), images[:1], TARGETS[:1], [0], 0, 1)
    backward = 3 if CAPTUM[name].backward else 1
    wanted = count_passes({**method, **few}, SIZE) // backward
    assert abs(sum(seen) - wanted) <= 2 * max(1, wanted // 50), (sum(seen), wanted)


def test_passes_of_others():
    assert count_passes({"source": "rise", "masks": 7}, SIZE) == 7
    assert count_passes({"source": "fullgrad"}, SIZE) == 3 and count_passes({"source": "cam"}, SIZE) == 1
    assert count_passes({"source": "mean", "of": "x"}, SIZE) == 0
    assert count_passes({"source": "controls", "name": "random"}, SIZE) == 0
    assert count_passes({"source": "captum", "name": "Occlusion", "window": 8, "stride": 4}, 32) == 7**2 + 1
    assert count_passes({"source": "captum", "name": "FeatureAblation", "patch": 5}, 32) == 7**2 + 1


def test_what_a_library_raises_otherwise_is_an_error(network, images):
    """Not a property of the network: it is in one line, and nothing is stored."""
    broken = prepare(network, source="captum", name="Saliency")
    said = refused(make_maps, broken, images, torch.full((3,), 99), [0, 1, 2], 0, 3)
    assert said.startswith("Captum's Saliency raised ")


def test_whole_numbers_are_numbers(network, images):
    made = make_maps(prepare(network, source="captum", name="GradientShap", stdevs=1), images, TARGETS, [0, 1, 2], 0, 3)
    assert made.shape == (3, *SHAPE)


def test_blocks_that_a_method_does_not_apply_to(world, tmp_path):
    """If it can't explain some images it can't explain the network: the first reason is given."""
    path = tmp_path / "mine.py"
    path.write_text("""
from explanations.methods.sources.base import NotApplicableError
def explain(network, images, targets):
    if len(images) == 3:
        raise NotApplicableError("of three images")
    return images[:, 0]
""")
    settings = {"source": "file", "path": str(path)}
    whole = make(world, "vgg16", tmp_path / "0.h5", settings=settings, shard_size=5, shard=0, batch=5)
    lacking = make(world, "vgg16", tmp_path / "1.h5", settings=settings, shard_size=5, shard=1, batch=3)
    maps = MadeMaps([whole, lacking], file_hash(world.networks["vgg16"]))
    assert maps.not_applicable == "of three images"
    assert read_about([whole, lacking])["vgg16", "mine"]["not_applicable"] == "of three images"
    results = read_measurements([remove(world, "vgg16", tmp_path / "r.h5", method="mine", maps=[whole, lacking])])
    assert results.methods == []


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_damaged_maps_are_refused_in_a_line(ending, tmp_path):
    values = np.ones((3, 8, 8))
    if ending == "npz":
        path = tmp_path / "mine.npz"
        np.savez(path, maps=values)
    else:
        path = tmp_path / "a/0.npy"
        path.parent.mkdir()
        np.save(path, values[0])
    path.write_bytes(path.read_bytes()[:40] if ending == "npz" else b"")
    blank = torch.zeros(1, 3, *SHAPE)
    source = str(path if ending == "npz" else tmp_path)
    said = refused(lambda: make_maps(prepare(None, source="maps", path=source), blank, TARGETS[:1], [0], 0, 1))
    assert said.startswith(str(path)) and "can't be read" in said


def test_a_file_may_have_dataclasses(tmp_path, network, images):
    path = tmp_path / "mine.py"
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    b: int\n"
    path.write_text(text + GRADIENT)
    assert make_maps(prepare(network, source="file", path=str(path)), images, TARGETS, [0, 1, 2], 0, 3).shape[0] == 3


class Functional(nn.Module):
    """A network with a ReLU that is no module."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.second = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)
        self.last = nn.Linear(4, 10)

    def forward(self, x):
        return self.last(F.relu(self.second(self.relu(self.first(x)))).mean((2, 3)))


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("GuidedBackprop", "ReLUs of the network are no modules: 1"),
        ("Deconvolution", "ReLUs of the network are no modules: 1"),
        (
            "DeepLift",
            "its attributions add up to .* off the score's .*: there are operations .*",
        ),
    ],
)
def test_functions_in_place_of_modules_are_noticed(method, reason, images):
    """Hooks don't see them: the maps would be of another method."""
    with pytest.raises(NotApplicableError, match=f"^{reason}$"):
        make_maps(prepare(Functional(), source="captum", name=method), images, TARGETS, [0, 1, 2], 0, 3)
