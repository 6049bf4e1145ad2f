"""Explain images by one network: a figure of each, all its numbers and maps, and a table of all images.

In:  image files, or folders of them; a network: its file, weights that torchvision or timm publish
     (torchvision:resnet50, timm:vit_tiny_patch16_224), or a network with weights of a configuration.
Out: in a folder, for each image <name>.png and <name>.pdf, the figure; <name>.json, its numbers (docs/your_picture.md
     says what they are); <name>.h5, all maps (HDF5: /image, /activity/<l>, /bias/<l>, /saliency, /removed; attributes
     layers, methods). summary.csv has a row for each result in the folder and method: e₋, e₊ (Eq. 17), δe₋, δe₊
     (Eqs 18, 20). <name> is the image's, with the network's, unless that is the default, and with the target's.

The score of one class is decomposed at every layer (Eqs 11–15), and each method's map is measured by removal (§4):
how much of the image's signal goes before the network's own decision flips, against removal by other images' maps.
An image that can't be explained is named in a line and left out; the exit status is 1 then.
"""

import os

# before torch is loaded: on a busy machine, threads that spin while they wait for each other lose most of the time
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
import yaml
from sklearn.datasets import load_sample_images

import explanations
from explanations.command import run_command, step_parser
from explanations.configuration import check_config
from explanations.data.folders import list_folder
from explanations.errors import InputError, check_range
from explanations.explaining.explainer import Explainer
from explanations.explaining.explanation import Explanation
from explanations.explaining.references import References
from explanations.explaining.results import Question, name_results, write_maps, write_numbers, write_summary
from explanations.figures.explanation import draw_explanation
from explanations.figures.names import network_title
from explanations.figures.page import check_dpi
from explanations.files.classes import find_class
from explanations.files.descriptions import NetworkDescription
from explanations.files.hashes import file_hash
from explanations.files.orders import ORDERS
from explanations.files.writing import check_writable
from explanations.flags import flag
from explanations.methods.transform import UPSAMPLINGS
from explanations.networks.files import load_network
from explanations.networks.named import find_network
from explanations.progress import ProgressBar
from explanations.removal.settings import Computing, RemovalSettings

ROOT = Path(explanations.__file__).parents[2]
CONFIG, SCHEMA = ROOT / "config/photographs.yaml", ROOT / "workflow/schemas/config.schema.yaml"
NETWORK = "lite0"


@dataclass(frozen=True)
class PictureRemoval(RemovalSettings):
    """Settings of removal for single images: a coarser grid, and every reference photograph's maps."""

    grid: int = flag("steps from no pixel removed to all", 25)
    noise_maps: int = flag("maps ξ of other images, for each image at most", 2)
    seed: int = flag("of the order of ties", 0)

    def __post_init__(self):
        super().__post_init__()
        check_range("--noise-maps", self.noise_maps, low=1)


@dataclass(frozen=True)
class PictureComputing(Computing):
    """How removal is computed for single images, for which somebody waits: on all cores that torch takes by itself."""

    threads: int = flag("CPU threads", torch.get_num_threads())

    def __post_init__(self):
        super().__post_init__()
        check_range("--threads", self.threads, low=1)


def main(
    images: list[Path],
    network: str,
    config: list[Path] | None,
    cache: Path | None,
    target: str | None,
    methods: list[str] | None,
    references: list[Path] | None,
    output: Path,
    upsampling: str,
    tolerance: float,
    dpi: float,
    removal: PictureRemoval,
    computing: PictureComputing,
    builder: Path | None = None,
) -> None:
    check_dpi(dpi, "--dpi")
    check_range("--tolerance", tolerance, low=0, open_low=True)
    check_writable(output)
    paths = find_images(images, output)
    others = find_images(references or [Path(name) for name in load_sample_images().filenames], output)
    cache = Path(torch.hub.get_dir(), "explanations") if cache is None else cache
    networks = read_networks(config or [CONFIG] * CONFIG.is_file())
    path = find_network(network, networks, cache)
    own = networks.get(network, {}).get("path")  # which the configuration names, so that it may be run
    classifier, description = load_network(path, builder or (Path(own) if own else None))
    name = Path(description.constructor).stem if path == Path(network) else network
    known = {"name": name, "file": str(path), "sha256": file_hash(path)}
    index = None if target is None else find_class(target, description.classes)
    for order in ORDERS:
        removal.removed_counts(description.size**2, order)  # refuses a grid that has a step without a pixel
    labels = [label_network(name, description), "" if index is None else description.classes[index]]
    questions = [Question(str(each), hash_if_there(each), str(path), known["sha256"], index) for each in paths]
    stems = name_results(output, questions, labels, [*paths, *others, path])

    explainer = Explainer(classifier, description, computing, upsampling, tolerance)
    methods = list(dict.fromkeys(methods or explainer.default_methods()))
    explainer.parse_methods(methods)
    noise = References(explainer.read, others, removal.noise_maps)
    settings = {**removal.record(), "upsampling": upsampling, "precision": computing.precision, "target": index}
    title = network_title(name, None if description.variant == "original" else description.variant)
    failed = 0
    for number, (image, stem) in enumerate(zip(paths, stems, strict=True)):
        try:
            own = noise.read(image) if index is None else explainer.read(image, index)
            chosen = noise.choose(own, [*paths[number + 1 :], *paths[:number]])
            scans = explainer.count_scans(len(chosen), len(methods))
            with ProgressBar(f"{image} ({number + 1} of {len(paths)})", scans, "scan") as bar:
                found = explainer.explain(own, chosen, methods, removal, lambda flip, bar=bar: bar.advance(1))
        except InputError as error:
            failed += report(error)
            continue
        # numbers first: by them the files that follow are known to be results, whenever this is interrupted
        write_numbers(output / f"{stem}.json", found, known, {**settings, "noise_maps": len(chosen)})
        write_maps(output / f"{stem}.h5", found)
        draw_explanation(output / f"{stem}.pdf", output / f"{stem}.png", dpi, found, title)
        print(f"{image}: {describe(found)}: {output / stem}.png", flush=True)
    if failed < len(paths):
        write_summary(output)
    if failed:
        sys.exit(1)


def find_images(paths: Sequence[Path], output: Path) -> list[Path]:
    """The image files that are given, and those in folders that are; each once, whether it is there or not.

    Of a folder, what lies in `output`, a folder in it, is left out; InputError if nothing else is in it.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        files = [path]
        if path.is_dir():
            own = output.resolve() if output.resolve().is_relative_to(path.resolve()) else None
            files = [path / file.path for file in list_folder(path)[0]]
            files = [file for file in files if own not in file.resolve().parents]
            if not files:
                raise InputError(f"{path}: all its images are in {output}, where results go; choose another --output")
        for file in files:
            found.setdefault(file.absolute(), file)
    return list(found.values())


def hash_if_there(path: Path) -> str:
    """A file's SHA-256; empty if it can't be read."""
    try:
        return file_hash(path)
    except OSError:
        return ""


def label_network(name: str, description: NetworkDescription) -> str:
    """A network in the names of results: its name without its source, and its variant; empty for the default one."""
    label = name.partition(":")[2] or name
    if description.variant != "original":
        return f"{label}-{description.variant}"
    return "" if label == NETWORK else label


def read_networks(configs: Sequence[Path]) -> Mapping[str, dict]:
    """The networks of a configuration by name: of several files, each laid over those before it, as Snakemake does.

    InputError, naming the last file, if they don't fit the schema.
    """
    networks = reduce(lay_over, map(read_networks_of, configs), {})
    schema = yaml.safe_load(SCHEMA.read_text("utf-8"))
    try:  # of a configuration that changes another, the rest is elsewhere
        if configs:
            check_config({"networks": networks}, {**schema, "required": []})
    except InputError as error:
        last, under = configs[-1], CONFIG.relative_to(ROOT)
        hint = f"; if it is laid over another, name that first: --config {under} --config {last}"
        raise InputError(f"{last}: {error}{hint if len(configs) == 1 else ''}") from None
    return networks


def read_networks_of(config: Path) -> Mapping[str, dict]:
    """The networks of one file; InputError, naming it, if it can't be read."""
    try:
        content = yaml.safe_load(config.read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{config}: can't be read as a configuration ({reason})") from None
    return content.get("networks", {}) if isinstance(content, dict) else {}


def lay_over(below: object, above: object) -> object:
    """Two values of a key as one: mappings are merged, key by key; of all else, the one above is taken."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: lay_over(below.get(key), value) for key, value in above.items()}}


def report(error: InputError) -> int:
    """Say in a line that an image is left out; it counts one."""
    print(f"left out: {error}", file=sys.stderr, flush=True)
    return 1


def describe(found: Explanation) -> str:
    """An explanation in a line."""
    said = f"{found.decision.name} ({found.decision.probability:.0%})"
    if found.target != found.decision:
        said += f", explained is {found.target.name} ({found.target.probability:.0%})"
    best = found.best
    if best is None:
        return f"{said}, flips by no map as the least salient pixels go first"
    return f"{said}, best map {best.method} with e₋ {best.stored['e_minus']:.2f}"


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image file, or folder of them")
    parser.add_argument(
        "--network",
        default=NETWORK,
        help="network file, torchvision:<constructor>[.<weights>], timm:<constructor>[.<tag>], or one of --config",
    )
    parser.add_argument("--builder", type=Path, help="your own file that builds the network, if it is of source file")
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        help="whose networks have names; again, for one that is laid over it; if not given, config/photographs.yaml",
    )
    parser.add_argument("--cache", type=Path, help="folder for networks that are fetched; if not given, torch.hub's")
    parser.add_argument("--target", help="class to explain, by name, part of it or index; if not given, the decision")
    parser.add_argument("--methods", nargs="+", help="saliency methods by name; if not given, the main ones")
    parser.add_argument(
        "--references", type=Path, nargs="+", help="images of the noise maps; if not given, scikit-learn's photographs"
    )
    parser.add_argument("--output", type=Path, default=Path("explained"), help="folder to write to")
    parser.add_argument("--upsampling", choices=UPSAMPLINGS, default="bilinear")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the completeness gate, relative")
    parser.add_argument("--dpi", type=float, default=200, help="of the picture, and of maps in the vector figure")
    run_command(parser, main)
