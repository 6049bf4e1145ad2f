"""What a map must depend on: shuffled and shifted networks, likeness against SciPy's, the step on small networks."""

import numpy as np
import pytest
import torch
from conftest import HERE, refused
from scipy.stats import spearmanr
from small import build, inputs

import measure_sanity as step
from explanations.files.tables import read_tables
from explanations.flags import call_with_flags
from explanations.sanity.networks import Shifted, cascade, list_parametrised
from explanations.statistics.correlation import rank_correlation

FLAGS = {
    **{"methods": ["gradient", "input"], "own": {}, "layers": "all", "upsampling": "bilinear", "count": 6, "steps": 3},
    **{"shift": 0.5, "batch": 4, "resamples": 100, "seed": 0, **HERE},
}


def measure(world, name, output, **changes):
    given = {"network": world.networks[name], "manifest": world.manifest, "images": world.images}
    call_with_flags(step.main, {**given, "shards": [world.shards[name]], "output": output, **FLAGS, **changes})
    return read_tables([output])


def state_of(network, name):
    module = network.get_submodule(name)
    return [tensor.clone() for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))]


def test_layers_are_listed_as_an_image_passes_them():
    vgg = list_parametrised(build("vgg16"), inputs(1).float())
    assert vgg[:2] == ["features.0", "features.2"] and vgg[-2:] == ["classifier.3", "classifier.6"]
    assert len(vgg) == 16
    vit = list_parametrised(build("vit"), inputs(1).float())
    first = vit.index("encoder.layers.encoder_layer_0.self_attention")
    assert vit[first + 1] == "encoder.layers.encoder_layer_0.self_attention.out_proj"  # is read, and never called
    assert len(vit) == len(set(vit)) and vit[-1] == "heads.head"


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "vit"])
def test_layers_are_shuffled_from_the_top(name):
    """In few steps, ever more; a layer's tensors keep their values, at other places; the network is as it was."""
    network = build(name, seed=3)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    names = list_parametrised(network, inputs(1).float())[::-1]
    counts = []
    for count, lowest, changed in cascade(network, inputs(1).float(), 4, 0):
        counts.append(count)
        assert lowest == names[count - 1]
        for number, each in enumerate(names):
            for own, was in zip(state_of(changed, each), state_of(network, each), strict=True):
                assert torch.equal(own.flatten().sort()[0], was.flatten().sort()[0])
                if number >= count:
                    assert torch.equal(own, was), (count, each)
                elif len(was.unique()) > 8:  # of few values, chance may leave each at its place
                    assert not torch.equal(own, was), (count, each)
    assert counts[0] == 1 and counts[-1] == len(names) and len(counts) == 4
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    again = [changed for *_, changed in cascade(network, inputs(1).float(), 4, 0)][-1]
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in changed.state_dict().items())
    other = [changed for *_, changed in cascade(network, inputs(1).float(), 4, 1)][-1]
    assert not all(torch.equal(tensor, other.state_dict()[key]) for key, tensor in changed.state_dict().items())


def test_a_network_of_few_layers_has_few_steps():
    linear = build("linear")
    assert [count for count, *_ in cascade(linear, inputs(1).float(), 5, 0)] == [1]


def test_a_shifted_network_says_of_shifted_images_what_it_said():
    network, images = build("resnet50"), inputs(3).float()
    shifted = Shifted(network, 0.5)
    assert not shifted.training
    assert torch.allclose(shifted(images + 0.5), network(images), atol=1e-5)
    assert not torch.allclose(shifted(images), network(images), atol=1e-2)


def test_likeness_is_spearmans():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 4, 6, 5)).round(1)  # with ties
    wanted = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    assert rank_correlation(first, second) == pytest.approx(wanted)
    assert rank_correlation(first, np.exp(first)) == pytest.approx(np.ones(4))
    assert rank_correlation(first, -first) == pytest.approx(-np.ones(4))
    assert np.isnan(rank_correlation(first, np.ones_like(first))).all()


def test_the_step(world, tmp_path):
    """Maps of the network alone change with it; edges of the image don't; the shift moves the input's map alone."""
    own = {
        "edges": {"source": "controls", "name": "sobel"},
        "saliency": {"source": "captum", "name": "Saliency"},
        "elsewhere": {"source": "maps", "path": "nowhere"},
        "edges_blurred": {"source": "blurred", "of": "edges"},
    }
    table = measure(world, "vgg16", tmp_path / "sanity.csv", own=own)
    assert set(table.method) == {"gradient", "input", "edges", "saliency"} and set(table.network) == {"vgg16"}
    rows = table.set_index(["test", "layers", "method", "measure"])["median"]
    assert sorted({layers for test, layers, *_ in rows.index if test == "randomisation"}) == [1, 8, 16]
    assert rows["randomisation", 16, "edges", "rho"] == pytest.approx(1)
    assert rows["shift", 0, "edges", "rho"] == pytest.approx(1, abs=1e-3)  # sums of shifted pixels are rounded
    for layers in (1, 8, 16):
        assert rows["randomisation", layers, "gradient", "rho"] < 0.99
        for measure_ in ("rho", "delta_rho"):  # Captum's gradient is ours
            pair = [rows["randomisation", layers, name, measure_] for name in ("gradient", "saliency")]
            assert pair[0] == pytest.approx(pair[1], abs=1e-3)
    assert rows["randomisation", 16, "gradient", "rho"] < rows["randomisation", 1, "gradient", "rho"]
    assert rows["shift", 0, "gradient", "rho"] > 0.999 > rows["shift", 0, "input", "rho"]
    assert set(table[table.test == "shift"].lowest) == {""}


def test_methods_that_do_not_apply_are_left_out(world, tmp_path, capsys):
    own = {"mine": {"source": "captum", "name": "DeepLift"}}
    table = measure(world, "resnet50", tmp_path / "sanity.csv", own=own, steps=1)
    assert "mine" not in set(table.method)
    assert "mine is left out, because module layer1.0.relu is called 3 times" in capsys.readouterr().out


def test_images_are_of_all_classes():
    assert step.choose_evenly(list(range(10)), 3) == [0, 4, 9]
    assert step.choose_evenly(list(range(4)), 9) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 1}, "sanity.images is 1; allowed is a number >= 2"),
        ({"steps": 0}, "sanity.steps is 0; allowed is a number >= 1"),
        ({"methods": ["gradients"]}, "method is gradients; allowed are "),
    ],
)
def test_what_can_not_be_is_refused_in_a_line(changes, message, world, tmp_path):
    assert refused(measure, world, "vgg16", tmp_path / "sanity.csv", **changes).startswith(message)
    assert not (tmp_path / "sanity.csv").exists()
