"""Pretrained weights: what the libraries publish of them, their way here, and the networks that they make."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import timm
import torch
import torchvision
from conftest import refused
from PIL import Image
from safetensors.torch import save_file
from small import randomise_vectors
from timm.data import create_transform, resolve_data_config
from torch import nn
from torchvision.models._api import WeightsEnum

import fetch_network
from explanations.data.imagenet import name_classes
from explanations.data.images import frame
from explanations.files.descriptions import read_description
from explanations.files.hashes import file_hash
from explanations.networks.files import load_network, preprocess
from explanations.networks.places import Place
from explanations.networks.pretrained import fetch_weights, look_up
from explanations.networks.sources.base import Published

# --- what is published -------------------------------------------------------------------------------------------


def test_every_classifier_of_torchvision_is_published():
    names = torchvision.models.list_models(module=torchvision.models)
    assert len(names) == 80
    for name in names:
        for weights in set(torchvision.models.get_model_weights(name).__members__) - {"IMAGENET1K_FEATURES"}:
            found = look_up("torchvision", name, weights, {})
            assert found.classes == 1000 and len(found.sha256) >= 8 and found.address.startswith("https://")


LIBRARY = [
    *[("torchvision", name, "IMAGENET1K_V1") for name in ("vgg16", "inception_v3", "efficientnet_b3", "swin_v2_t")],
    *[("torchvision", "resnet50", "IMAGENET1K_V2"), ("torchvision", "vit_b_16", "IMAGENET1K_SWAG_E2E_V1")],
    *[("timm", "resnet50", "tv_in1k"), ("timm", "inception_v4", "tf_in1k"), ("timm", "nasnetalarge", "tf_in1k")],
    *[("timm", "resnetv2_50", "a1h_in1k"), ("timm", "eva02_base_patch14_448", "mim_in22k_ft_in1k")],
    *[("timm", "convnext_tiny", "in12k_ft_in1k_384"), ("timm", "mobilenetv1_100", "ra4_e3600_r224_in1k")],
]


@pytest.mark.parametrize(("source", "constructor", "weights"), LIBRARY, ids=lambda value: value)
@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (120, 90), (224, 224)])
def test_images_are_made_ready_as_the_library_does(source, constructor, weights, shape):
    published = look_up(source, constructor, weights, {})
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    if source == "torchvision":
        wanted = torchvision.models.get_model_weights(constructor)[weights].transforms()(image)
    else:
        config = timm.get_pretrained_cfg(f"{constructor}.{weights}").to_dict()
        wanted = create_transform(**resolve_data_config({}, pretrained_cfg=config))(image)
    pixels = torch.from_numpy(np.asarray(frame(image, published.framing)).transpose(2, 0, 1).copy())[None]
    found = preprocess(pixels, described(published))[0]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def described(published: Published):
    """What preprocessing reads of a description."""
    return type("Description", (), {"mean": published.mean, "std": published.std})


def test_squashed_images_are_among_them():
    squashed = [look_up(*names, {}).framing.squash for names in LIBRARY if names[0] == "timm"]
    assert any(squashed) and not all(squashed)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("narrow", "vgg16", "x"), "source is narrow; pretrained weights are of torchvision, timm"),
        (("torchvision", "vgg99", "x"), "constructor is vgg99; source torchvision has alexnet, convnext_base, "),
        (("timm", "resnet5", "x"), "constructor is resnet5; of timm's the closest are resnet50, "),
        (("torchvision", "vgg16", "V1"), "weights.name is V1; vgg16 has IMAGENET1K_V1, IMAGENET1K_FEATURES"),
        (("torchvision", "vgg16", "IMAGENET1K_FEATURES"), "weights.name is IMAGENET1K_FEATURES; they are no classifi"),
        (("timm", "inception_v4", "V1"), "weights.name is V1; inception_v4 has tf_in1k"),
        (("timm", "test_vit", "x"), "weights.name is x; test_vit has "),
        (("timm", "vit_base_patch16_224", "mae"), "weights.name is mae; they are no classifier's"),
    ],
)
def test_unknown_names(flags, message):
    assert refused(look_up, *flags, {}).startswith(message)


def test_sizes_that_arguments_ask_for():
    names = "timm", "vit_tiny_patch16_224", "augreg_in21k_ft_in1k"
    assert look_up(*names, {}).framing.size == 224
    for size in (192, [192, 192], (192, 192)):
        assert look_up(*names, {"img_size": size}).framing == look_up(*names, {"img_size": 192}).framing
    assert look_up(*names, {"img_size": 192}).framing.size == 192
    assert "takes images of 3 × 192 × 160, cut by center" in refused(look_up, *names, {"img_size": [192, 160]})
    for size in ("large", [192], [192, 19.2]):
        message = refused(look_up, *names, {"img_size": size})
        assert message == f"arguments.img_size is {size}; allowed is a whole number, or two of them"


def test_class_names():
    assert name_classes(1000)[353] == "gazelle"
    assert len(name_classes(21841)) == 21841
    assert name_classes(7) == tuple(f"class {k}" for k in range(7))


# --- networks ----------------------------------------------------------------------------------------------------


def published_file(network: nn.Module, folder: Path) -> tuple[str, str]:
    """A network's weights as a file that is named after its hash; its path and hash."""
    path = folder / "weights.pth"
    torch.save(network.state_dict(), path)
    digest = file_hash(path)
    return str(path.rename(folder / f"weights-{digest[:8]}.pth")), digest


def fetch(folder: Path, source: str, constructor: str, weights: str, url: str, sha256: str = "", arguments=None):
    output = folder / "n.safetensors"
    fetch_network.main(source, constructor, arguments or {}, weights, url, sha256, output)
    return load_network(output)


def test_a_network_of_torchvision(tmp_path):
    network = randomise_vectors(torchvision.models.squeezenet1_1())
    url, sha256 = published_file(network, tmp_path)
    found, description = fetch(tmp_path, "torchvision", "squeezenet1_1", "IMAGENET1K_V1", url, sha256)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    assert (description.size, description.resize, description.interpolation) == (224, 256, "bilinear")
    assert (description.mean, description.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert description.classes[353] == "gazelle" and description.variant == "original"
    assert (description.origin, description.origin_hash) == (url, sha256)
    assert description.arguments == {"num_classes": 1000}


@pytest.mark.parametrize("constructor", ["googlenet", "inception_v3", "densenet121", "mnasnet0_5", "mobilenet_v2"])
def test_networks_are_what_torchvision_itself_loads(tmp_path, monkeypatch, constructor):
    """Auxiliary heads, old names and missing counters are as in the files that torchvision publishes."""
    extra = {"aux_logits": True, "init_weights": False} if constructor in ("googlenet", "inception_v3") else {}
    network = randomise_vectors(torchvision.models.get_model(constructor, weights=None, **extra))
    state = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    if constructor == "densenet121":
        state = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in state.items()}
    elif constructor == "mnasnet0_5":
        state = network.state_dict()
    path = tmp_path / "w.pth"
    torch.save(state, path)
    sha256 = file_hash(path)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, *a, **k: torch.load(path, weights_only=True))
    wanted = torchvision.models.get_model(constructor, weights="IMAGENET1K_V1").eval()
    found, description = fetch(tmp_path, "torchvision", constructor, "IMAGENET1K_V1", str(path), sha256)
    images = torch.randn(2, 3, description.size, description.size)
    with torch.no_grad():
        assert torch.equal(found(images), wanted(images))
    assert not any(name.lower().startswith("aux") for name, _ in found.named_parameters())


@pytest.mark.parametrize(
    ("constructor", "weights"), [("test_vit", "r160_in1k"), ("test_resnet", "r160_in1k"), ("test_byobnet", "r160_in1k")]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_networks_of_timm(tmp_path, constructor, weights, suffix):
    network = randomise_vectors(timm.create_model(constructor))
    path = tmp_path / f"w{suffix}"
    (torch.save if suffix == ".pth" else save_file)(network.state_dict(), path)
    sha256 = file_hash(path)
    found, description = fetch(tmp_path, "timm", constructor, weights, str(path), sha256)
    images = torch.randn(2, 3, description.size, description.size)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    assert description.size == 160 and description.classes[0] == "tench"


def test_files_that_timm_renames(tmp_path):
    """ConvNeXt's authors have other names for its parts; timm's own filter knows them."""
    network = randomise_vectors(timm.create_model("convnext_atto"))
    state = network.state_dict()
    original = {"head.fc.": "head.", "head.norm.": "norm.", "stem.": "downsample_layers.0."}
    theirs = {}
    for key, value in state.items():
        for new, old in original.items():
            if key.startswith(new):
                key = key.replace(new, old, 1)
        key = re.sub(r"stages\.(\d)\.downsample\.", r"downsample_layers.\1.", key)
        key = re.sub(r"stages\.(\d)\.blocks\.(\d+)\.", r"stages.\1.\2.", key)
        key = key.replace("conv_dw", "dwconv").replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        theirs[key] = value
    torch.save({"model": theirs}, tmp_path / "w.pth")
    sha256 = file_hash(tmp_path / "w.pth")
    found, _ = fetch(tmp_path, "timm", "convnext_atto", "d2_in1k", str(tmp_path / "w.pth"), sha256)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))


@pytest.mark.parametrize(
    ("source", "constructor", "weights", "message"),
    [
        ("torchvision", "squeezenet1_0", "IMAGENET1K_V1", "features.0.bias is (64,); expected (96,)"),
        ("torchvision", "mobilenet_v3_small", "IMAGENET1K_V1", "classifier.0.bias is absent; expected (1024,)"),
        ("timm", "test_resnet", "r160_in1k", "Error(s) in loading state_dict for ResNet: Missing key(s) in state_dict"),
        ("timm", "dla46_c", "in1k", "base_layer.0.weight is absent"),  # timm itself would leave it random
        ("timm", "inception_v3", "tv_in1k", "Conv2d_1a_3x3.conv.weight is absent"),  # likewise
        ("timm", "convnext_atto", "d2_in1k", "no weights that timm knows how to read, at "),
    ],
)
def test_files_of_another_architecture(tmp_path, source, constructor, weights, message):
    other = timm.create_model("test_resnet") if constructor == "convnext_atto" else torchvision.models.squeezenet1_1()
    torch.save(other.state_dict(), tmp_path / "w.pth")
    url, sha256 = str(tmp_path / "w.pth"), file_hash(tmp_path / "w.pth")
    found = refused(fetch, tmp_path, source, constructor, weights, url, sha256)
    assert found.startswith(f"{url}: not a {constructor}: {message}")
    assert not (tmp_path / "n.safetensors").exists()


def test_weights_that_timm_finds_in_part(tmp_path):
    """One tensor missing, of a family that timm lets it be of."""
    state = randomise_vectors(timm.create_model("dla46_c")).state_dict()
    del state["level3.tree1.tree1.conv2.weight"]
    torch.save(state, tmp_path / "w.pth")
    sha256 = file_hash(tmp_path / "w.pth")
    found = refused(fetch, tmp_path, "timm", "dla46_c", "in1k", str(tmp_path / "w.pth"), sha256)
    assert found.endswith("w.pth: not a dla46_c: level3.tree1.tree1.conv2.weight is absent")


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_no_weights(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    flags = ("torchvision", "squeezenet1_1", "IMAGENET1K_V1", str(path), sha256)
    assert refused(fetch, tmp_path, *flags).startswith(f"{path}: not a file of weights")


def test_weights_without_a_hash(tmp_path):
    published = look_up("timm", "test_vit", "r160_in1k", {})
    message = refused(fetch_weights, published, Place("https://example.org/w.pth"))
    assert message == "weights.sha256 is missing; no hash is published for https://example.org/w.pth"


def test_weights_are_kept_where_torch_hub_keeps_them(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "w.pth").write_bytes(b"weights")
    published, address = look_up("torchvision", "vgg16", "IMAGENET1K_V1", {}), serve(tmp_path / "w.pth")
    path = fetch_weights(published, Place(address, file_hash(tmp_path / "w.pth")))
    assert path.parent == tmp_path / "hub" / "checkpoints"
    assert "its SHA-256 is" in refused(fetch_weights, published, Place(address))  # it isn't VGG-16


# --- the hub -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path) -> Iterator[dict]:
    """A server that speaks the hub's protocol for one file, and the environment that leads there."""
    network = randomise_vectors(timm.create_model("test_vit"))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    served = {"content": content, "sha256": hashlib.sha256(content).hexdigest(), "asked": [], "network": network}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            served["asked"].append((self.command, self.path))
            if "answer" in served:
                self.wfile.write(served["answer"])
                self.close_connection = True
                return None
            if "/resolve/" not in self.path or "model.safetensors" not in self.path:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("X-Linked-Etag", f'"{served["sha256"]}"')
            self.send_header("ETag", f'"{served["sha256"]}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return None

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(served["content"])

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{http.server_port}"
        served["environment"] = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
        yield served
        http.shutdown()


def fetch_from_hub(hub: dict, output: Path) -> subprocess.CompletedProcess:
    flags = {"source": "timm", "constructor": "test_vit", "weights": "r160_in1k", "output": output}
    command = [sys.executable, fetch_network.__file__, *(f"--{key}={value}" for key, value in flags.items())]
    environment = {**os.environ, **hub["environment"]}
    return subprocess.run(command, env=environment, text=True, capture_output=True)


def test_weights_from_the_hub(hub, tmp_path):
    result = fetch_from_hub(hub, tmp_path / "n.safetensors")
    assert result.returncode == 0, result.stderr
    network, description = load_network(tmp_path / "n.safetensors")
    images = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(network(images), hub["network"](images))
    assert (description.origin, description.origin_hash) == ("timm/test_vit.r160_in1k", hub["sha256"])
    before = len(hub["asked"])
    assert fetch_from_hub(hub, tmp_path / "again.safetensors").returncode == 0
    assert not [path for command, path in hub["asked"][before:] if command == "GET" and "resolve" in path]


def test_weights_from_the_hub_where_nothing_can_be_linked(hub, tmp_path):
    hub["environment"]["HF_HUB_DISABLE_SYMLINKS"] = "1"
    result = fetch_from_hub(hub, tmp_path / "n.safetensors")
    assert result.returncode == 0, result.stderr
    assert read_description(tmp_path / "n.safetensors").origin_hash == hub["sha256"]


def test_another_file_from_the_hub(hub, tmp_path):
    hub["content"] = hub["content"][:-1] + b"x"
    result = fetch_from_hub(hub, tmp_path / "n.safetensors")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("fetch_network.py: error: timm/test_vit.r160_in1k/model.safetensors: its SHA-256 is ")
    assert last.endswith(f"; expected {hub['sha256']}")
    assert not (tmp_path / "n.safetensors").exists()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", b"rubbish\r\n", b""]
)
def test_a_hub_that_answers_rubbish_or_in_circles_is_one_line(hub, tmp_path, answer):
    hub["answer"] = answer
    result = fetch_from_hub(hub, tmp_path / "n.safetensors")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    start = "fetch_network.py: error: timm/test_vit.r160_in1k/model.safetensors: can't be fetched from the hub ("
    assert result.stderr.splitlines()[-1].startswith(start)
