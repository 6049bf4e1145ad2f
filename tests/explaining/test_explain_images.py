"""Images of one's own from the command line to figures, numbers and maps: as the workflow's own steps have them."""

import json
import os
import re
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision
import yaml
from conftest import EXTRACTION, HERE, REMOVAL, SEED, refused
from literal import ascending
from photographs import photograph
from PIL import Image
from small import ARGUMENTS, SIZE, build, describe
from snakemake.utils import update_config
from workflow_copy import ROOT

import explain_images
import extract_attributions
import measure_removal
from explanations.errors import InputError
from explanations.explaining.explainer import Explainer
from explanations.explaining.references import References, same_picture
from explanations.explaining.results import Question, name_results
from explanations.files.hashes import file_hash
from explanations.files.manifests import UNLABELLED, ManifestRow, write_manifest
from explanations.files.measurements import NEVER, STORED, read_measurements
from explanations.files.shards import ShardReader, numbered
from explanations.files.tables import read_tables
from explanations.flags import call_with_flags
from explanations.networks import named
from explanations.networks.files import build_network, load_network, preprocess, save_network
from explanations.removal.settings import Computing, RemovalSettings

CLASSES = ("tabby cat", "tiger cat", "tiger", "dog", "10", "bird", "wild boar", "boar bristle", "ox", "cow")
GRID, COUNT = 8, 3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """Three generated photographs, of other sizes than the networks'."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"picture {number}.png" for number in range(COUNT)]
    for number, path in enumerate(paths):
        photograph(50 + number, 40, number).save(path)
    return paths


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("network") / "vgg16.safetensors"
    save_network(path, build("vgg16", seed=SEED), describe("vgg16", classes=CLASSES))
    return path


def explain(images: list[Path], network: Path | str, output: Path, **changes) -> Path:
    """Run explain_images.main: no configuration, a coarse grid, the settings of the tests of removal."""
    flags = {"images": images, "network": str(network), "config": None, "cache": output / "cache", "target": None}
    flags |= {"methods": None, "references": None, "output": output, "tolerance": 1e-4, "dpi": 50}
    flags |= {**REMOVAL, **HERE, "grid": GRID, "noise_maps": 2, **changes}
    for key in ("method", "shard", "shard_size"):
        del flags[key]
    call_with_flags(explain_images.main, flags)
    return output


def read_numbers(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def read_only(folder: Path) -> dict:
    """The numbers of the only result in a folder."""
    (path,) = folder.glob("*.json")
    return read_numbers(path)


@pytest.fixture(scope="module")
def explained(pictures, network, tmp_path_factory) -> Path:
    """The first picture, explained against the others."""
    return explain(pictures[:1], network, tmp_path_factory.mktemp("explained"), references=pictures[1:])


# --- end to end --------------------------------------------------------------------------------------------------


def make_explain(folder: Path, **values: object) -> subprocess.CompletedProcess:
    """Run `make explain` in the tests' own environment: the one that `make` would set up is an empty, ready folder.

    Without it, make would clear whatever .venv leads to and install into it.
    """
    environment = folder / "venv"
    environment.mkdir(exist_ok=True)
    (environment / ".ready").touch()
    command = [
        "make",
        "--no-print-directory",
        "explain",
        f"VENV={environment}",
        *(f"{key}={value}" for key, value in values.items()),
    ]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True)


def test_make_explain(pictures, network, tmp_path):
    """Names with spaces and quotes reach the script as they are."""
    image = tmp_path / "it's a “picture”.png"
    image.write_bytes(pictures[0].read_bytes())
    flags = "--device cpu --threads 1 --grid 4 --tolerance 1e-4 --dpi 50"
    values = {"IMAGE": image, "NETWORK": network, "TARGET": "tabby cat", "OUTPUT": tmp_path / "my results"}
    said = make_explain(tmp_path, **values, FLAGS=flags)
    assert said.returncode == 0, said.stderr
    names = {path.name for path in (tmp_path / "my results").iterdir()}
    assert names == {
        "summary.csv",
        *(f"{image.stem}-vgg16-tabby_cat.{ending}" for ending in ("png", "pdf", "json", "h5")),
    }
    assert said.stdout.startswith(f"{image}: ") and "explained is tabby cat" in said.stdout
    found = read_numbers(tmp_path / "my results" / f"{image.stem}-vgg16-tabby_cat.json")
    assert [Path(name).name for name in found["references"]] == ["china.jpg", "flower.jpg"]


@pytest.mark.parametrize("name", ["-x.png", "$HOME $(x) $$.png"])
def test_make_hands_names_on_as_they_are(pictures, network, tmp_path, monkeypatch, name):
    """Beginning with -, as a flag does, or with what make and the shell would fill in."""
    said = make_explain(tmp_path, IMAGE=name, NETWORK=network, TARGET="-", OUTPUT=tmp_path / "-o")
    assert said.stderr.startswith("explain_images.py: error: target is -; "), said.stderr
    said = make_explain(tmp_path, IMAGE=name, NETWORK=network, OUTPUT=tmp_path / "-o", FLAGS="--device cpu --threads 1")
    assert f"left out: {name}: no such image\n" in said.stderr


def test_make_without_an_image(tmp_path):
    said = make_explain(tmp_path, IMAGE="")
    assert said.returncode and said.stderr.startswith("IMAGE is missing; ")


def test_nothing_is_said_beside_progress(pictures, network, tmp_path, capsys, caplog):
    """The libraries that draw have nothing to warn of, as of the dates in fonts."""
    explain(pictures[:1], network, tmp_path, methods=["gradient"])
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"{pictures[0]} (1 of 1): 6/6 scan") and not caplog.records


def test_the_title_says_the_variant(pictures, network, tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(explain_images, "draw_explanation", lambda *drawn: titles.append(drawn[-1]))
    path = tmp_path / "n.safetensors"
    save_network(path, load_network(network)[0], replace(describe("vgg16", classes=CLASSES), variant="decayed"))
    for file in (network, path):
        explain(pictures[:1], file, tmp_path / "out", methods=["gradient"])
    assert titles == ["VGG-16", "VGG-16, biases decayed to zero"]
    assert {each.stem for each in (tmp_path / "out").glob("*.json")} == {"picture 0-vgg16", "picture 0-vgg16-decayed"}


def test_what_is_written(explained, pictures, network):
    found = read_numbers(explained / "picture 0-vgg16.json")
    classifier, description = load_network(network)
    assert found["image"] == {"file": str(pictures[0]), "sha256": file_hash(pictures[0])}
    assert found["network"]["sha256"] == file_hash(network) and found["network"]["name"] == "vgg16"
    assert found["settings"]["grid"] == GRID and found["settings"]["noise_maps"] == COUNT - 1
    assert found["references"] == [str(path) for path in pictures[1:]]
    with h5py.File(explained / "picture 0-vgg16.h5") as file:
        pixels = torch.from_numpy(file["image"][:].transpose(2, 0, 1)[None])
        with torch.no_grad():
            logits = classifier(preprocess(pixels, description))[0].double()
        assert file["saliency"].shape == (len(found["methods"]), SIZE, SIZE)
        assert list(file.attrs["methods"].astype(str)) == list(found["methods"])
        sums = [file[numbered("activity", l)][:].sum(dtype=float) for l in range(len(found["layers"]))]
        biased = [l for l in range(len(found["layers"])) if numbered("bias", l) in file]
        biases = {l: file[numbered("bias", l)][:].sum(dtype=float) for l in biased}
    likeliest = sorted(range(len(CLASSES)), key=lambda k: -logits[k])[:5]
    assert [each["index"] for each in found["top"]] == likeliest
    for each in found["top"]:
        assert each["name"] == CLASSES[each["index"]]
        share = float(torch.exp(logits[each["index"]]) / sum(torch.exp(logit) for logit in logits))
        assert each["probability"] == pytest.approx(share, rel=1e-4)
    assert found["target"] == found["decision"] == found["top"][0]
    for l, layer in enumerate(found["layers"]):  # Eqs 13, 14 as they are written
        above = sum(value for k, value in biases.items() if k > l)
        assert layer["activity"] == pytest.approx(sums[l], abs=1e-4) and layer["biases_above"] == pytest.approx(
            above, abs=1e-4
        )
        assert layer["activity"] + layer["biases_above"] == pytest.approx(found["target"]["logit"], abs=1e-4)
    table = read_tables([explained / "summary.csv"], ("image", "method", "e_minus", "delta_e_plus"))
    assert table["method"].tolist() == list(found["methods"])
    assert table["e_minus"].tolist() == pytest.approx([each["e_minus"] for each in found["methods"].values()])


def test_numbers_are_those_of_the_workflow(explained, pictures, network, tmp_path):
    """Of the same images as a manifest: e, flips and gross sums, bit for bit."""
    rows = [ManifestRow(k, path.name, "", UNLABELLED) for k, path in enumerate(pictures)]
    data = {"network": network, "manifest": tmp_path / "manifest.csv", "images": pictures[0].parent}
    write_manifest(data["manifest"], rows)
    extraction = {**EXTRACTION, "batch": 1, "name": "vgg16", "output": tmp_path / "shard.h5"}
    extract_attributions.main(**data, **extraction, **HERE)
    found = read_numbers(explained / "picture 0-vgg16.json")
    with ShardReader([tmp_path / "shard.h5"]) as reader, h5py.File(explained / "picture 0-vgg16.h5") as maps:
        for l, layer in enumerate(found["layers"]):
            assert layer["activity"] == pytest.approx(float(reader.gross_sum(l, [0])[0]), rel=1e-6, abs=1e-6)
            assert layer["bias"] == pytest.approx(float(reader.bias_sum(l, [0])[0]), rel=1e-6, abs=1e-6)
            np.testing.assert_array_equal(maps[numbered("activity", l)], reader.read(numbered("activity", l), [0])[0])
    measured = 0
    for kind in ("gradient", "gradcam", "fullgrad", "activity", "activity_from"):
        flags = {**data, **REMOVAL, **HERE, "shards": [tmp_path / "shard.h5"], "output": tmp_path / f"{kind}.h5"}
        call_with_flags(measure_removal.main, {**flags, "method": kind, "grid": GRID, "noise_maps": COUNT - 1})
        results = read_measurements([tmp_path / f"{kind}.h5"])
        for method in set(found["methods"]) & set(results.methods):
            for name in (*STORED, "delta_e_minus", "delta_e_plus"):
                assert found["methods"][method][name] == results.measure(name, method)[0], (method, name)
            measured += 1
    assert measured == 6


def test_removed_pixels_flip_the_decision_and_fewer_do_not(explained, network):
    """The best map's flip, step by step as it is written."""
    classifier, description = load_network(network)
    found = read_numbers(explained / "picture 0-vgg16.json")
    with h5py.File(explained / "picture 0-vgg16.h5") as file:
        pixels, removed = torch.from_numpy(file["image"][:].transpose(2, 0, 1)[None]), file["removed"][:]
        saliency = file["saliency"][:][list(found["methods"]).index(found["best"])]
    ties = np.random.default_rng([REMOVAL["seed"], 1, 0]).permutation(SIZE * SIZE).tolist()
    order, step = ascending(saliency.reshape(-1), ties), found["methods"][found["best"]]["flip_minus"]
    for k in range(step + 1):
        gone = order[: round(SIZE * SIZE * k / GRID)]
        images = preprocess(pixels, description).contiguous()
        whole = images.square().sum().sqrt()
        images.view(3, -1)[:, gone] = 0.0
        with torch.no_grad():
            decision = int(classifier(images).argmax())
        assert (decision == found["decision"]["index"]) == (k < step)
    assert sorted(gone) == np.flatnonzero(removed).tolist()
    e = 1 - float(images.square().sum().sqrt() / whole)
    assert found["methods"][found["best"]]["e_minus"] == pytest.approx(e, abs=1e-6)


def test_an_image_has_the_same_numbers_among_others(explained, pictures, network, tmp_path):
    """Each is the others' noise map then, which are the references of the first alone."""
    output = explain(pictures, network, tmp_path, references=pictures[:1])
    alone, among = (read_numbers(folder / "picture 0-vgg16.json") for folder in (explained, output))
    assert alone == among
    assert read_numbers(output / "picture 1-vgg16.json")["references"] == [str(pictures[k]) for k in (0, 2)]
    assert len(read_tables([output / "summary.csv"], ("image",))) == COUNT * len(alone["methods"])


# --- what is explained -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["wild boar", "6", "ild bo"])
def test_a_target_that_is_not_the_decision(explained, pictures, network, tmp_path, target):
    """Maps are the target's; removal waits for the decision, so that not every scan ends at once."""
    found = read_only(explain(pictures[:1], network, tmp_path, target=target))
    decided = read_numbers(explained / "picture 0-vgg16.json")
    assert found["target"]["index"] == 6 != found["decision"]["index"]
    assert found["decision"] == decided["decision"] and found["top"] == decided["top"]
    for layer in found["layers"]:
        assert layer["activity"] + layer["biases_above"] == pytest.approx(found["target"]["logit"], abs=1e-4)
    assert found["layers"][0]["activity"] != pytest.approx(decided["layers"][0]["activity"])
    assert any(each["flip_minus"] != 1 for each in found["methods"].values())


def test_a_target_that_is_none(pictures, network, tmp_path):
    message = refused(explain, pictures, network, tmp_path, target="tiger c at")
    assert message.startswith("target is tiger c at; no class has that in its name; the closest are tiger cat")
    assert not (tmp_path / "summary.csv").exists()


def test_methods_are_chosen(pictures, network, tmp_path):
    output = explain(pictures[:1], network, tmp_path, methods=["bias_2", "signed_activity_1", "bias_2"])
    assert list(read_numbers(output / "picture 0-vgg16.json")["methods"]) == ["bias_2", "signed_activity_1"]
    message = refused(explain, pictures, network, tmp_path, methods=["activity_99"])
    assert message.startswith("method is activity_99; vgg16 has activity_1, activity_2, ")
    assert refused(explain, pictures, network, tmp_path, methods=["guess"]).startswith("method is guess; allowed are ")


@pytest.mark.parametrize("name", ["vit", "resnet50", "linear", "grey"])
def test_other_networks(pictures, tmp_path, name):
    """A transformer, whose class token has no position; one of no layers; one of grey images."""
    path = tmp_path / "n.safetensors"
    if name == "grey":
        arguments = {**ARGUMENTS["linear"], "channels": 1}
        description = describe("linear", arguments=arguments, mean=(0.5,), std=(0.25,))
        save_network(path, build_network("narrow", "linear", arguments), description)
    else:
        save_network(path, build(name, seed=SEED), describe(name))
    found = read_only(explain(pictures[:1], path, tmp_path, references=pictures[1:2]))
    for layer in found["layers"]:
        total = layer["activity"] + layer["biases_above"]
        assert total == pytest.approx(found["target"]["logit"], rel=1e-4, abs=1e-3)
    assert abs(found["completeness"]["relative_gap"]) < 1e-4
    assert {"gradient", "input", "fullgrad"} <= set(found["methods"])


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_a_bad_file_loses_no_other(pictures, network, tmp_path, capsys):
    bad, absent = tmp_path / "bad.png", tmp_path / "absent.png"
    bad.write_bytes(b"no image")
    with pytest.raises(SystemExit) as raised:
        explain([bad, pictures[0], absent], network, tmp_path / "out")
    assert raised.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert lines == [
        f"left out: {bad}: can't be read as an image (of no known format)",
        f"left out: {absent}: no such image",
    ]
    assert read_numbers(tmp_path / "out/picture 0-vgg16.json")["image"]["file"] == str(pictures[0])


def test_an_image_is_not_its_own_noise(pictures, network, tmp_path, capsys):
    """Nor is a copy of it that was saved anew, under another name."""
    copy = tmp_path / "copy.jpg"
    Image.open(pictures[0]).resize((80, 64)).save(copy, quality=60)
    with pytest.raises(SystemExit):
        explain(pictures[:1], network, tmp_path / "out", references=[copy])
    assert f"left out: {pictures[0]}: there is no other image" in capsys.readouterr().err
    output = explain(pictures[:1], network, tmp_path / "out", references=[copy, pictures[1]])
    assert read_numbers(output / "picture 0-vgg16.json")["references"] == [str(pictures[1])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dpi": 0}, "--dpi is 0; allowed is a number >= 50 and <= 1200"),
        ({"dpi": float("nan")}, "--dpi is nan; allowed is a number >= 50 and <= 1200"),
        ({"tolerance": float("nan")}, "--tolerance is nan; allowed is a number > 0"),
        ({"tolerance": -1.0}, "--tolerance is -1; allowed is a number > 0"),
        ({"threads": 0}, "--threads is 0; allowed is a number >= 1"),
        ({"grid": SIZE**2 + 1}, f"removal.grid is {SIZE**2 + 1}; images have {SIZE**2} pixels, "),
        ({"output": Path(__file__, "out")}, f"{Path(__file__, 'out')}: can't be written (Not a directory)"),
    ],
)
def test_refused_before_any_work(pictures, network, tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(explain_images, "Explainer", None)
    flags = {"output": tmp_path / "out", "cache": tmp_path, **changes}
    assert refused(explain, pictures[:1], network, **flags).startswith(message)
    assert not (tmp_path / "out").exists()


def test_gaps_are_refused_where_the_tolerance_is_no_number(pictures):
    explainer = Explainer(build("vgg16", seed=SEED), describe("vgg16"), Computing(device="cpu"), tolerance=float("nan"))
    assert "the decomposition sums to " in refused(explainer.read, pictures[0])


def test_what_is_transparent_is_left_out(network, tmp_path, capsys):
    """All of it, not a part; and a name that no result could hold."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 4), np.uint8)
    pixels[..., 3] = 0
    clear, part, odd = (tmp_path / name for name in ("clear.png", "part.png", "a\nb.png"))
    Image.fromarray(pixels).save(clear)
    pixels[5, 5, 3] = 1
    Image.fromarray(pixels).save(part)
    Image.fromarray(pixels).save(odd)
    with pytest.raises(SystemExit):
        explain([clear, odd, part], network, tmp_path / "out", methods=["gradient"])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert lines == [
        f"left out: {clear}: all of it is transparent; allowed are images in which there is something to see",
        f"left out: {str(odd)!a}: allowed are names in UTF-8, without line breaks and control characters",
    ]
    assert read_only(tmp_path / "out")["image"]["file"] == str(part)


def test_noise_maps_are_of_decisions(pictures, network, tmp_path):
    """Whatever class is explained: an image is the same reference among the images as it is among the references."""
    given = {"target": "tabby cat", "noise_maps": 1, "methods": ["gradcam", "activity_from_1"]}
    copy = tmp_path / "copy.png"
    copy.write_bytes(pictures[0].read_bytes())
    among = explain(pictures[:2], network, tmp_path / "among", references=[copy], **given)
    apart = explain(pictures[:1], network, tmp_path / "apart", references=pictures[1:2], **given)
    name = "picture 0-vgg16-tabby_cat.json"
    assert read_numbers(among / name) == read_numbers(apart / name)
    assert read_numbers(among / name)["references"] == [str(pictures[1])]


def test_a_reference_that_explains_another_class_is_refused(pictures):
    explainer = Explainer(build("vgg16", seed=SEED), describe("vgg16"), Computing(device="cpu"), tolerance=1e-4)
    first, second = (explainer.read(path) for path in pictures[:2])
    other = explainer.read(pictures[1], (second.decision + 1) % len(explainer.description.classes))
    message = refused(explainer.explain, first, [other], ["gradient"], RemovalSettings(grid=GRID))
    assert message == f"{pictures[1]}: as a reference it must be explained for its own decision"


def test_few_attributions_are_held_and_none_is_made_twice():
    """Each image is a reference of those before it, and is read once all the same."""
    held, read = weakref.WeakSet(), []

    class Attributed:
        def __init__(self, path: Path):
            held.add(self)
            read.append(path)
            self.name, self.pixels = str(path), np.random.default_rng(len(read)).integers(0, 256, (3, 8, 8), np.uint8)

    paths = [Path(f"{number}.png") for number in range(20)]
    noise = References(Attributed, [], 2)
    for number, path in enumerate(paths[:-2]):
        chosen = noise.choose(noise.read(path), paths[number + 1 :])
        assert [each.name for each in chosen] == [str(each) for each in paths[number + 1 : number + 3]]
        del chosen
        assert len(held) <= 4
    assert read == paths


def test_one_picture_saved_anew(tmp_path):
    """Smaller, darker, as JPEG: it is the same one; a mirrored one and another are not, nor what has no contrast."""
    picture = photograph(64, 64, 1)
    picture.save(tmp_path / "a.jpg", quality=50)
    pixels = np.asarray(picture, np.uint8)
    for same in (np.asarray(Image.open(tmp_path / "a.jpg")), (pixels * 0.7).astype(np.uint8), pixels):
        assert same_picture(pixels, same)
    grey = np.full_like(pixels, 90)
    for other in (pixels[:, ::-1], np.asarray(photograph(64, 64, 3)), grey):
        assert not same_picture(pixels, other)
    assert same_picture(grey, grey)


def test_a_decision_that_never_flips(pictures, tmp_path):
    """All logits are equal, whatever is removed: e is 1, or left out."""
    network = build("vgg16", seed=SEED)
    with torch.no_grad():
        network.classifier[-1].weight.zero_()
        network.classifier[-1].bias.zero_()
    path = tmp_path / "n.safetensors"
    save_network(path, network, describe("vgg16"))
    for choice, e in (("one", 1.0), ("exclude", None)):
        output = explain(pictures[:1], path, tmp_path / choice, never_flips=choice)
        found = read_numbers(output / "picture 0-vgg16.json")
        assert found["best"] is None
        assert {each["e_minus"] for each in found["methods"].values()} == {e}
        assert {each["flip_minus"] for each in found["methods"].values()} == {None}
        with h5py.File(output / "picture 0-vgg16.h5") as file:
            assert not file["removed"][:].any()


# --- files -------------------------------------------------------------------------------------------------------


def test_results_are_named_apart(tmp_path):
    names = name_results(tmp_path, ask("a/cat.jpg", "b/Cat.png", "cat.gif", "summary.png"), [], [])
    assert names == ["cat", "Cat-2", "cat-3", "summary-2"]
    (long,) = name_results(tmp_path, ask(200 * "ö"), ["tench/Tinca", "", 99 * "x"], [])
    assert long == f"{50 * 'ö'}-tench_Tinca-{40 * 'x'}"


def ask(*images: str) -> list[Question]:
    return [Question(image, "", "n.safetensors", "", None) for image in images]


def test_folders_of_images(pictures):
    folder = pictures[0].parent
    found = explain_images.find_images([folder, pictures[1], Path("absent.png")], Path("explained"))
    assert found == [*pictures, Path("absent.png")]


def test_results_in_a_folder_of_images_are_none_of_them(pictures, tmp_path):
    """Those of a folder in it are left out; results that would lie among the images are refused."""
    for path in (tmp_path / "a.png", tmp_path / "mine/explained/a.png", tmp_path / "mine/b.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[0].read_bytes())
    found = explain_images.find_images([tmp_path], tmp_path / "mine/../mine/explained")
    assert found == [tmp_path / "a.png", tmp_path / "mine/b.png"]
    below = explain_images.find_images([tmp_path / "mine"], tmp_path)
    assert below == [tmp_path / "mine/b.png", tmp_path / "mine/explained/a.png"]
    message = refused(explain_images.find_images, [tmp_path], tmp_path)
    assert message == f"{tmp_path}: all its images are in {tmp_path}, where results go; choose another --output"


@pytest.mark.parametrize("given", ["image", "reference", "link"])
def test_no_result_takes_the_place_of_what_it_is_made_from(pictures, network, tmp_path, monkeypatch, given):
    """It is refused before any work."""
    own = tmp_path / "own/picture 0-vgg16.png"
    own.parent.mkdir()
    own.write_bytes(pictures[0].read_bytes())
    whole, images, changes = own.read_bytes(), pictures[:1], {"references": [own]}
    if given != "reference":
        images, changes = [tmp_path / "picture 0.png"], {}
        images[0].hardlink_to(own) if given == "image" else images[0].symlink_to(own)
    monkeypatch.setattr(explain_images, "Explainer", None)
    message = refused(explain, images, network, own.parent, **changes)
    assert message == f"{own}: is given, and a result would take its place; allowed is another --output"
    assert own.read_bytes() == whole and list(own.parent.iterdir()) == [own]


def test_no_result_takes_the_place_of_others_files(pictures, network, tmp_path):
    """A file that is no result keeps its name, and so does a table."""
    notes = tmp_path / "picture 0-vgg16.json"
    notes.write_text('{"label": "cat"}')
    output = explain(pictures[:1], network, tmp_path)
    assert notes.read_text() == '{"label": "cat"}' and not (output / "picture 0-vgg16.png").exists()
    assert read_numbers(output / "picture 0-vgg16-2.json")["image"]["file"] == str(pictures[0])
    (output / "summary.csv").write_text("my,own\n")
    message = refused(explain, pictures[:1], network, tmp_path)
    assert message.startswith(f"{output / 'summary.csv'}: a table of results would take the place of this file; ")


def test_results_stay_beside_those_of_other_questions(pictures, network, tmp_path):
    """Another target, network or image of the same name has results of its own; the same question replaces its own."""
    other, again = tmp_path / "vgg16.safetensors", tmp_path / "picture 0.png"
    save_network(other, build("vgg16", seed=3), describe("vgg16", classes=CLASSES))
    again.write_bytes(pictures[1].read_bytes())
    output, methods = tmp_path / "out", ["gradient", "gradcam"]
    explain(pictures[:1], network, output, methods=methods)
    explain(pictures[:1], network, output, methods=methods, target="tabby cat")
    explain(pictures[:1], other, output, methods=methods)
    explain([again], network, output, methods=methods)
    explain(pictures[:1], network, output, methods=["gradient"], grid=4)
    found = {path.stem: read_numbers(path) for path in output.glob("*.json")}
    stems = ["picture 0-vgg16", "picture 0-vgg16-2", "picture 0-vgg16-3", "picture 0-vgg16-tabby_cat"]
    assert sorted(found) == stems
    assert [found[stem]["settings"]["grid"] for stem in stems] == [4, GRID, GRID, GRID]
    assert [found[stem]["settings"]["target"] for stem in stems] == [None, None, None, 0]
    assert [found[stem]["network"]["file"] for stem in stems] == [
        str(path) for path in (network, other, *2 * [network])
    ]
    table = read_tables([output / "summary.csv"], ("result", "method", "e_minus"))
    rows = [(stem, method) for stem in stems for method in found[stem]["methods"]]
    assert list(zip(table["result"], table["method"], strict=True)) == rows and len(rows) == 7
    expected = [found[stem]["methods"][method]["e_minus"] for stem, method in rows]
    assert table["e_minus"].tolist() == pytest.approx(expected)


def test_the_most_salient_first_may_have_a_grid_of_its_own(explained, pictures, network, tmp_path):
    fine = [step / 1000 for step in range(1, 21)] + [0.1, 0.3, 1.0]
    output = explain(pictures[:1], network, tmp_path / "out", references=pictures[1:], grid_plus=fine)
    found, usual = read_only(output), read_only(explained)
    assert found["settings"] == usual["settings"] | {"grid_plus": fine} and "grid_plus" not in usual["settings"]
    for method, measures in usual["methods"].items():
        for name in ("e_minus", "e_minus_noise", "flip_minus"):
            assert found["methods"][method][name] == measures[name]
    steps = [measures["flip_plus"] for measures in found["methods"].values()]
    assert {*filter(None, steps)} and all(step is None or 1 <= step <= len(fine) for step in steps)
    message = refused(explain, pictures[:1], network, tmp_path, grid_plus=[0.0001, 1.0])
    assert message.startswith("removal.grid_plus.0 is 0.0001, 0 of the ")


@pytest.mark.parametrize(
    ("name", "variant", "label"),
    [
        ("lite0", "original", ""),
        ("torchvision:resnet50.IMAGENET1K_V1", "original", "resnet50.IMAGENET1K_V1"),
        ("vgg16", "zeroed", "vgg16-zeroed"),
        ("lite0", "decayed", "lite0-decayed"),
    ],
)
def test_networks_in_the_names_of_results(name, variant, label):
    assert explain_images.label_network(name, replace(describe("vgg16"), variant=variant)) == label


def test_threads_wait_without_spinning():
    """The script says so before torch is loaded, when it is read."""
    code = "import os, explain_images, ctypes, torch; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {**os.environ, "OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": str(ROOT / "scripts")}
    environment.pop("OMP_WAIT_POLICY", None)
    said = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said.stderr, said.stderr[-500:]


# --- networks by name --------------------------------------------------------------------------------------------


def write_config(folder: Path, **network) -> Path:
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump({"networks": {"mine": network}}))
    return path


@pytest.fixture
def own(tmp_path) -> dict:
    """A network of a configuration with weights of one's own, in a file."""
    torch.save(torchvision.models.squeezenet1_1(num_classes=3).state_dict(), tmp_path / "w.pth")
    weights = {"url": str(tmp_path / "w.pth")}
    found = {"source": "torchvision", "constructor": "squeezenet1_1", "arguments": {}, "weights": weights}
    return found | {"classes": ["cat", "dog", "ox"]}


def test_a_network_of_a_configuration_is_fetched_once(own, tmp_path, monkeypatch):
    networks = explain_images.read_networks([write_config(tmp_path, **own)])
    path = named.find_network("mine", networks, tmp_path / "cache")
    assert load_network(path)[1].classes == ("cat", "dog", "ox")

    def never(wanted):
        raise AssertionError

    monkeypatch.setattr(named, "fetch_configured", never)
    assert named.find_network("mine", networks, tmp_path / "cache") == path
    with pytest.raises(AssertionError):  # other classes are another network
        named.find_network("mine", {"mine": {**own, "classes": ["a", "b", "c"]}}, tmp_path / "cache")
    torch.save({}, tmp_path / "w.pth")
    with pytest.raises(AssertionError):  # and so is another file of the same name
        named.find_network("mine", networks, tmp_path / "cache")


def test_a_damaged_file_in_the_cache_is_made_anew(own, tmp_path, capsys):
    path = named.find_network("mine", {"mine": own}, tmp_path / "cache")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert named.find_network("mine", {"mine": own}, tmp_path / "cache") == path and path.read_bytes() == whole
    assert f"fetched again: {path}: truncated" in capsys.readouterr().out


OWN = """
from torch import nn
def build(width, num_classes):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(225 * width, num_classes))
"""


def test_a_network_that_is_code_of_ones_own(pictures, tmp_path):
    """By its file and --builder, or by a configuration's name, which says what builds it; a changed one is another."""
    path = tmp_path / "my_network.py"
    path.write_text(OWN)
    arguments = {"width": 2, "num_classes": 10}
    network = build_network("file", str(path), arguments)
    made = {"source": "file", "constructor": str(path), "arguments": arguments, "constructor_hash": file_hash(path)}
    save_network(tmp_path / "n.safetensors", network, describe("linear", **made))
    flags = {"methods": ["input"], "references": pictures[1:], "grid": 4}
    assert "--builder=" in refused(explain, pictures[:1], tmp_path / "n.safetensors", tmp_path / "explained", **flags)
    explain(pictures[:1], tmp_path / "n.safetensors", tmp_path / "explained", **flags, builder=path)
    by_file = read_numbers(tmp_path / "explained/picture 0-my_network.json")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    entry = {
        "source": "file",
        "path": str(path),
        "arguments": {"width": 2},
        "weights": {"url": str(tmp_path / "w.pth")},
    }
    entry |= {"classes": 10, "preprocessing": {"size": SIZE, "mean": 0.5, "std": 0.25}}
    config = [write_config(tmp_path, **entry)]
    explain(pictures[:1], "mine", tmp_path / "explained", **flags, config=config)
    by_name = read_numbers(tmp_path / "explained/picture 0-mine.json")
    assert by_name["layers"] == by_file["layers"]
    kept = named.find_network("mine", {"mine": entry}, tmp_path / "explained/cache")
    assert kept.name.startswith("my_network-") and by_name["network"]["file"] == str(kept)
    path.write_text(OWN + "# changed")
    assert named.find_network("mine", {"mine": entry}, tmp_path / "explained/cache") != kept


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("torchvision:resnet50", "IMAGENET1K_V2"),
        ("torchvision:resnet50.IMAGENET1K_V1", "IMAGENET1K_V1"),
        ("timm:vit_tiny_patch16_224", "augreg_in21k_ft_in1k"),
        ("timm:vit_tiny_patch16_224.augreg_in21k", "augreg_in21k"),
    ],
)
def test_published_weights_by_name(tmp_path, monkeypatch, name, weights):
    def fetched(wanted):
        raise InputError(json.dumps(wanted))

    monkeypatch.setattr(named, "fetch_configured", fetched)
    source, _, constructor = name.partition(".")[0].partition(":")
    wanted = {"source": source, "constructor": constructor, "arguments": {}, "weights": {"name": weights}}
    assert json.loads(refused(named.find_network, name, {}, tmp_path)) == wanted


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lite9",
            "network is lite9; allowed are a network file (….safetensors), torchvision:<constructor>[.<weights>], ",
        ),
        ("narrow:vgg16", "network is narrow:vgg16; allowed are a network file"),
        ("torchvision:vgg99", "constructor is vgg99; source torchvision has alexnet, "),
        ("timm:resnet5", "constructor is resnet5; of timm's the closest are resnet50, "),
        (
            "trained",
            "network is trained, which the configuration trains; allowed is its file, results/",
        ),
        ("absent.safetensors", "absent.safetensors: no such network file"),
    ],
)
def test_networks_that_are_none(pictures, tmp_path, name, message):
    training = {"epochs": 1, "batch": 8, "learning_rate": 0.1, "weight_decay": 0.1}
    config = tmp_path / "c.yaml"
    entry = {"source": "narrow", "constructor": "vgg16", "arguments": {}, "training": training}
    config.write_text(yaml.safe_dump({"networks": {"trained": entry}}))
    assert refused(explain, pictures[:1], name, tmp_path, config=[config]).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: [", "can't be read as a configuration (while parsing"),
        ("networks: {mine: {source: timm}}", "networks.mine: "),
        (None, "can't be read as a configuration (No such file or directory)"),
    ],
)
def test_configurations_that_are_none(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    assert refused(explain_images.read_networks, [path]).startswith(f"{path}: {message}")


def test_a_configuration_laid_over_another():
    """As Snakemake does it; alone, a line says what is missing."""
    below, above = ROOT / "config/photographs.yaml", ROOT / "config/all_layers.yaml"
    expected = yaml.safe_load(below.read_text())
    update_config(expected, yaml.safe_load(above.read_text()))
    assert explain_images.read_networks([below, above]) == expected["networks"]
    message = refused(explain_images.read_networks, [above])
    assert message.startswith(f"{above}: networks.lite0: 'source' is a required property")
    hint = f"if it is laid over another, name that first: --config config/photographs.yaml --config {above}"
    assert message.endswith(f"; {hint}")
    message = refused(explain_images.read_networks, [above, above])
    assert "'source' is a required property" in message and hint not in message


# --- from Python -------------------------------------------------------------------------------------------------


def test_from_python(pictures):
    """As the library's docstring has it; layers without positions have no map."""
    explainer = Explainer(build("vit", seed=SEED), describe("vit"), Computing(device="cpu"), tolerance=1e-4)
    first, *others = [explainer.read(path) for path in pictures]
    assert explainer.layers == first.maps.layers and explainer.layers[-1] < len(explainer.layer_names) - 1
    found = explainer.explain(first, others, ["gradcam", "fullgrad"], RemovalSettings(grid=GRID))
    assert [each.method for each in found.maps] == ["gradcam", "fullgrad"] and found.decision.index == first.decision
    assert all(each.flip_minus == NEVER or 1 <= each.flip_minus <= GRID for each in found.maps)


def test_the_page_s_example_runs(pictures, network, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/your_picture.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    file = tmp_path / re.search(r'Path\("(results/\S+)"\)', code)[1]
    file.parent.mkdir(parents=True)
    file.write_bytes(network.read_bytes())
    for name, picture in zip(("cat", "dog", "house"), pictures, strict=True):
        Image.open(picture).save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    exec(code.replace("Computing()", 'Computing(device="cpu"), tolerance=1e-4'), {})
    assert capsys.readouterr().out.split()[-1] != "nan"
