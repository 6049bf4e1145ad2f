"""Weights of a Python package: by their names or in their order, with images made ready as they were made for."""

from io import BytesIO

import pytest
import timm
import torch
from conftest import refused
from package_index import build_wheel, serve_index
from small import randomise_vectors

import fetch_network
from explanations.files.hashes import file_hash
from explanations.networks.checkpoints import rename_in_order
from explanations.networks.files import load_network, preprocess
from explanations.networks.places import Place
from explanations.networks.pretrained import change_preprocessing, look_up

NETWORK = "tf_efficientnet_lite0"
FILE = "my_lite/models/lite.pth"


def rename(state: dict) -> dict:
    """A state under other names, the last part of each kept."""
    return {f"_{index}.{name.rpartition('.')[2]}": tensor for index, (name, tensor) in enumerate(state.items())}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return randomise_vectors(timm.create_model(NETWORK))


@pytest.fixture
def package(network, tmp_path, monkeypatch):
    """A package that holds the network's weights under other names, in an index that pip is set to."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    content = BytesIO()
    torch.save(rename(network.state_dict()), content)
    made = build_wheel(tmp_path / "index", "my-lite", "0.1.0", {FILE: content.getvalue()})
    with serve_index(tmp_path / "index", monkeypatch):
        yield made


def fetch(package, output, **changes) -> None:
    flags = {"package": package.name, "package_version": package.version, "file": FILE, "names": "order"}
    flags |= {"source": "timm", "constructor": NETWORK, "arguments": {}, "weights": "in1k", "url": ""}
    fetch_network.main(**{**flags, "sha256": package.sha256, "output": output, **changes})


def test_weights_of_a_package_make_its_network(network, package, tmp_path, monkeypatch, capsys):
    changes = {"preprocessing": {"mean": 127 / 255, "std": 128 / 255}}
    fetch(package, tmp_path / "n.safetensors", **changes)
    found, description = load_network(tmp_path / "n.safetensors")
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        expected = network((images.float() - 127) / 128)  # as TensorFlow's EfficientNet-Lite has it
        assert torch.allclose(found(preprocess(images, description)), expected, rtol=1e-4, atol=1e-5)
    assert (description.size, description.resize, description.interpolation) == (224, 256, "bicubic")
    assert len(description.classes) == 1000 and description.origin == f"package my-lite 0.1.0: {FILE}"
    checkpoints = tmp_path / "home" / "hub" / "checkpoints"
    weights = checkpoints / f"my_lite-0.1.0-{package.sha256[:8]}" / "lite.pth"
    assert description.origin_hash == file_hash(weights)
    assert "its 296 tensors are the network's in order, under other names" in capsys.readouterr().out
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1")  # once fetched, no index is asked
    fetch(package, tmp_path / "again.safetensors", **changes)
    assert file_hash(tmp_path / "again.safetensors") == file_hash(tmp_path / "n.safetensors")


def test_what_a_package_has_not(package, tmp_path):
    for changes, said in (
        ({"file": "my_lite/models/other.pth"}, "package my-lite 0.1.0: holds no file my_lite/models/other.pth"),
        (
            {"sha256": "0" * 64},
            f"package my-lite 0.1.0: its SHA-256 is {package.sha256} where pip finds it; expected 0",
        ),
        ({"sha256": ""}, "weights.sha256 is missing; weights.package goes with version, sha256 and file"),
        ({"url": "w.pth"}, "weights.url is w.pth; weights.package is another place: allowed is one of both"),
        ({"names": "network"}, f"{tmp_path}/home/hub/checkpoints/my_lite-0.1.0-{package.sha256[:8]}/lite.pth: not a "),
    ):
        assert refused(fetch, package, tmp_path / "n.safetensors", **changes).startswith(said)
        assert not (tmp_path / "n.safetensors").exists()


# --- in order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NETWORK, "tf_efficientnet_lite1", "tf_efficientnet_lite2"])
def test_entries_are_renamed_one_by_one(name, tmp_path):
    state = randomise_vectors(timm.create_model(name)).state_dict()
    found = rename_in_order(rename(state), state, tmp_path)
    assert list(found) == list(state) and all(torch.equal(found[key], state[key]) for key in state)


def test_older_files_without_counters(tmp_path, network):
    state = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert list(rename_in_order(rename(state), network.state_dict(), tmp_path)) == list(state)


def test_what_does_not_follow_in_order(tmp_path):
    own = {"bn.weight": torch.ones(4), "bn.bias": torch.zeros(4), "fc.weight": torch.ones(2, 4)}
    path = tmp_path / "w.pth"
    swapped = {"a.bias": torch.zeros(4), "a.weight": torch.ones(4), "b.weight": torch.ones(2, 4)}
    assert refused(rename_in_order, swapped, own, path) == (
        f"{path}: its entry 1, a.bias, is (4,); the network's, bn.weight, is (4,); names: order needs the same shapes "
        "and kinds in the same order"
    )
    longer = {"a.weight": torch.ones(4), "a.bias": torch.zeros(4), "b.weight": torch.ones(3, 4)}
    assert "its entry 3, b.weight, is (3, 4); the network's, fc.weight, is (2, 4)" in refused(
        rename_in_order, longer, own, path
    )
    assert refused(rename_in_order, {"a.weight": torch.ones(4)}, own, path) == (
        f"{path}: holds 1 tensors, the network 3; names: order needs the same"
    )


# --- how images are made ready -----------------------------------------------------------------------------------


def test_preprocessing_that_the_library_does_not_state():
    published = look_up("timm", NETWORK, "in1k", {})
    changed = change_preprocessing(published, {"size": 192, "resize": 200, "interpolation": "bilinear", "std": 0.25})
    assert (changed.framing.size, changed.framing.resize, changed.framing.interpolation) == (192, 200, "bilinear")
    assert changed.std == (0.25,) * 3 and changed.mean == published.mean
    assert change_preprocessing(published, {"mean": [0.1, 0.2, 0.3]}).mean == (0.1, 0.2, 0.3)
    assert change_preprocessing(published, {}) == published
    assert change_preprocessing(published, {"size": 112}).framing.resize == 128


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": 0.5}, "networks.<name>.preprocessing.means is not a known key; allowed are size, resize, "),
        ({"resize": 200}, "networks.<name>.preprocessing.resize is 200; allowed is a number of at least size, 224"),
        ({"mean": [0.5]}, "networks.<name>.preprocessing.mean is [0.5]; images have 3 channels"),
        ({"interpolation": "area"}, "tf_efficientnet_lite0 in1k: resizes by area; allowed are nearest, "),
    ],
)
def test_preprocessing_that_can_not_be(changes, message):
    assert refused(look_up, "timm", NETWORK, "in1k", {}, 0, changes).startswith(message)


def test_a_place_is_somewhere_else_or_nowhere():
    assert refused(Place(file="w.pth").check) == "weights.package is missing; weights.file goes with it"
    assert not Place() and not Place(sha256="0" * 64) and Place("w.pth") and Place(package="a")
    assert str(Place("https://me@example.org/w.pth?token=s")) == "https://example.org/w.pth?token=…"
