"""The check of a method of one's own says in a line what is wrong; docs/methods.md's examples pass it, and run."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import HERE, refused
from workflow_copy import ROOT

import check_method
import make_maps
from explanations.files.hashes import file_hash
from explanations.files.made_maps import MadeMaps
from explanations.files.manifests import read_manifest

PAGE = (ROOT / "docs/methods.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def write(folder, text):
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_the_pages_example_passes(tmp_path, capsys):
    check_method.main(write(tmp_path, EXAMPLES["method"]), list(check_method.NETWORKS))
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == list(check_method.NETWORKS)
    assert all("the network is as it was" in line for line in said)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return images", "its maps are of (3, 3, 32, 32); allowed is (3, 32, 32), (n, H, W)"),
        ("return images[:, 0] / 0", "its maps hold NaN or infinite values; all must be finite"),
        ("return images[:, 0] - images[:, 0].mean()", "the map of an image depends on the other images of its batch"),
        ("return torch.rand(len(images), 32, 32)", "draws random numbers; allowed with RANDOM = True in the file"),
        (
            "return torch.rand(len(images), 32, 32, generator=torch.Generator().manual_seed(time.time_ns()))",
            "maps of the same images differ, with torch's, NumPy's and Python's generators seeded",
        ),
        ("network.train(); return images[:, 0]", "it left the network in training mode"),
        (
            "network.register_forward_hook(print_nothing); return images[:, 0]",
            "it left hooks on the network's module",
        ),
        (
            "next(network.parameters()).data.zero_(); return images[:, 0]",
            "it left the network changed: features",
        ),
        ("return unknown", "explain raised NameError: name 'unknown' is not defined"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(body, message, tmp_path):
    text = "import time\nimport torch\ndef print_nothing(*_): pass\ndef explain(network, images, targets):\n    " + body
    said = refused(check_method.main, write(tmp_path, text), ["vgg16"])
    assert said.startswith("on vgg16: ") and message in said


def test_random_numbers_are_allowed_if_they_are_announced(tmp_path, capsys):
    text = "import torch\nRANDOM = True\ndef explain(network, x, y):\n    return torch.rand(len(x), 32, 32)"
    check_method.main(write(tmp_path, text), ["vgg16"])
    assert "finite" in capsys.readouterr().out


def test_a_method_may_say_that_it_does_not_apply(tmp_path, capsys):
    text = """
from explanations.methods.sources.base import NotApplicableError
def explain(network, images, targets):
    raise NotApplicableError("it has no attention")
"""
    check_method.main(write(tmp_path, text), ["vgg16"])
    assert capsys.readouterr().out == "vgg16: not applicable, because it has no attention\n"


def test_further_keys_of_a_method(tmp_path, capsys):
    text = "def explain(network, images, targets, power):\n    return images[:, 0] ** power"
    assert "missing 1 required positional argument: 'power'" in refused(
        check_method.main, write(tmp_path, text), ["vgg16"]
    )
    check_method.main(write(tmp_path, text), ["vgg16"], {"power": 2})
    assert "finite" in capsys.readouterr().out


def test_networks_to_try_it_on():
    assert refused(check_method.main, "mine.py", ["vgg"]) == "--networks is vgg; allowed are vgg16, resnet50, vit"


def test_the_pages_maps_are_made_and_read(world, tmp_path):
    script = write(tmp_path, EXAMPLES["maps"])
    command = [sys.executable, script, world.manifest, world.images, tmp_path / "maps"]
    subprocess.run(command, check=True)
    flags = {"network": world.networks["vgg16"], "manifest": world.manifest, "images": world.images}
    flags |= {"shards": [world.shards["vgg16"]], "method": "mine", "output": tmp_path / "maps.h5"}
    settings = {"source": "maps", "path": str(tmp_path / "maps")}
    make_maps.main(**flags, settings=settings, shard=0, shard_size=100, batch=4, seed=0, **HERE)
    made = MadeMaps([tmp_path / "maps.h5"], file_hash(world.networks["vgg16"]))
    first = read_manifest(world.manifest)[0]
    kept = np.load((tmp_path / "maps" / first.path).with_suffix(".npy"))
    assert np.array_equal(made.choose([0])[0], kept.astype(np.float32))
