"""What tests share: one thread, a small generated data set, networks, shards and removal results of it; a whole run."""

import ctypes
import gc
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from small import SIZE, build, describe
from workflow_copy import FAMILIES, FEWER, copy_workflow, snakemake

import extract_attributions
import list_images
import make_digit_images
import make_manifest
import measure_removal
from explanations.errors import InputError
from explanations.flags import call_with_flags
from explanations.networks.files import save_network
from explanations.plan import methods_of
from explanations.statistics.evidence import TOP1, NetworkEvidence

LISTING = {
    **{"labels": "folders", "unreadable": "stop", "other_modes": "convert", "orientation": "ignore"},
    **{"note": None, "fingerprint": "", "threads": 1},
}
EXTRACTION = {"experiment": "tests", "shard": 0, "shard_size": 100, "batch": 8, "tolerance": 1e-4}
REMOVAL = {
    **{"method": "activity", "upsampling": "bilinear", "shard": 0, "shard_size": 100, "grid": 6, "noise_maps": 1},
    **{"grid_plus": (), "operator": "fill", "fill": 0.0, "blur": 0.05, "road": 0.01},
    **{"ties": "random", "never_flips": "one", "seed": 0, "batch": 64, "precision": "float32"},
}
SEED = 8  # of networks whose decisions flip under removal, most but not all of them
HERE = {"device": "cpu", "threads": 1}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def memory_goes_back():
    """What a module's tests have freed is the system's again: glibc keeps it, gigabytes in a process of many tests."""
    yield
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> SimpleNamespace:
    """Twenty images of ten classes, ten of them in a manifest, two random networks with biases, and their shards."""
    root = tmp_path_factory.mktemp("world")
    images, masks = root / "images", root / "masks"
    make_digit_images.main("val", images, masks, 20, SIZE, 2, 0)
    list_images.main("folder", images, root / "test_images.csv", **LISTING)
    make_manifest.main(root / "test_images.csv", root / "manifest.csv", 5, 2, "stop", 0)
    networks, shards = {}, {}
    for name in ("vgg16", "resnet50"):
        networks[name], shards[name] = root / f"{name}.safetensors", root / f"{name}.h5"
        save_network(networks[name], build(name, seed=SEED), describe(name))
    world = SimpleNamespace(
        **{"root": root, "images": images, "masks": masks, "networks": networks, "shards": shards},
        **{"test_images": root / "test_images.csv", "manifest": root / "manifest.csv"},
    )
    for name, path in shards.items():
        extract(world, name, path)
    return world


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A copy of the workflow in which the minimal experiment has run, with networks of all families."""
    folder = copy_workflow(tmp_path_factory.mktemp("minimal"))
    snakemake(folder, "--cores", "2", *FAMILIES)
    return folder


@pytest.fixture(scope="session")
def finished_fewer(tmp_path_factory) -> Path:
    """The same with fewer networks that are explained."""
    folder = copy_workflow(tmp_path_factory.mktemp("fewer"))
    snakemake(folder, "--cores", "2", *FEWER)
    return folder


@pytest.fixture
def texts(monkeypatch) -> list[str]:
    """What a figure says over its panels and beside them; it is not drawn, which takes seconds."""
    found = []

    def read(figure: Figure, path: Path, **options) -> None:
        found[:] = [ax.get_title(loc="center") for ax in figure.axes] + [text.get_text() for text in figure.texts]
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", read)
    return found


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[[Path], str]]:
    """Give a file of the test's folder an address on a local server."""
    handler = partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield lambda path: f"http://127.0.0.1:{server.server_port}/{path.relative_to(tmp_path).as_posix()}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def refused(step, *args, **flags) -> str:
    """The one line of the InputError that a call raises."""
    with pytest.raises(InputError) as raised:
        step(*args, **flags)
    message = str(raised.value)
    assert message and "\n" not in message
    return message


def images_of(world: SimpleNamespace) -> dict[str, Path]:
    """The flags of a decay that say which images it tunes and tests on."""
    data = {"test_images": world.test_images, "images": world.images}
    return {"tuning_images": world.test_images, "tuning": world.images, **data}


def measured(accuracy=None, tested_images=0, score=TOP1, layers=(), **tables) -> NetworkEvidence:
    """What claims of one network are tested on, of which a test gives some."""
    return NetworkEvidence(tables, accuracy or {}, tested_images, layers, score)


def extract(world: SimpleNamespace, name: str, output: Path, **changes) -> Path:
    """Run extract_attributions.main for a network of the world, or for a file given as `network`."""
    flags = {"network": world.networks.get(name), "manifest": world.manifest, "images": world.images, "name": name}
    extract_attributions.main(**{**flags, **EXTRACTION, **HERE, "output": output, **changes})
    return output


def remove(world: SimpleNamespace, name: str, output: Path, **changes) -> Path:
    """Run measure_removal.main for a network of the world."""
    flags = {"network": world.networks.get(name), "manifest": world.manifest, "images": world.images}
    flags |= {"shards": [world.shards.get(name)]}
    call_with_flags(measure_removal.main, {**flags, **REMOVAL, **HERE, "output": output, **changes})
    return output


@pytest.fixture(scope="session")
def results(world) -> dict[str, Path]:
    """Removal results of the small VGG, by method."""
    methods = map(str, methods_of("layers", "biases", "aggregates"))
    return {method: remove(world, "vgg16", world.root / f"removal-{method}.h5", method=method) for method in methods}
