"""The survey against networks worked by hand, and against its formulas written out."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from small import build, describe, module_biases
from torch import Tensor, nn

import survey_network
from explanations.errors import InputError
from explanations.files.manifests import UNLABELLED
from explanations.flags import call_with_flags
from explanations.networks.biases import zero_biases
from explanations.networks.evaluation import LabelledImages, mark
from explanations.networks.files import load_network, preprocess
from explanations.networks.survey import (
    Condition,
    Predictions,
    join,
    predict,
    rank_labels,
    standard_error,
    tabulate_accuracy,
    tabulate_fits,
    tabulate_outputs,
    tabulate_robustness,
)
from explanations.statistics.tests import fit_lines

SCALES, SHIFTS = [0.1, 1.0, 10.0], [-1.0, 0.0, 1.0]
CONDITIONS = [*(Condition(scale=value) for value in SCALES), *(Condition(shift=value) for value in SHIFTS)]
NAMES = [f"{number}.png" for number in range(12)]


class OfPixels(nn.Module):
    """A linear map of the mean colour, with biases: f = W m + b, for m = (r, g, b)."""

    def __init__(self, weight: list[list[float]], bias: list[float]):
        super().__init__()
        self.top = nn.Linear(3, len(bias))
        self.top.weight.data, self.top.bias.data = torch.tensor(weight), torch.tensor(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.top(x.mean((2, 3)))


def colours(*rgb: tuple[int, int, int]) -> Tensor:
    """One plain 2×2 image of each colour."""
    return torch.tensor(rgb, dtype=torch.uint8).view(-1, 3, 1, 1).expand(-1, 3, 2, 2).contiguous()


def plain(**changes):
    """A description whose preprocessing does nothing but divide by 255."""
    return describe("vgg16", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), **changes)


def survey(
    network: nn.Module, images: Tensor, labels: list[int], description=None, conditions=CONDITIONS
) -> Predictions:
    zeroed = type(network)(network.top.weight.tolist(), network.top.bias.tolist())
    zero_biases(zeroed, module_biases(zeroed))
    return predict(network.eval(), zeroed.eval(), description or plain(), images, np.array(labels), conditions)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_equal_biases_of_a_linear_network():
    """f = m + 0.5: without biases f − 0.5, so α = 1, β = −0.5 exactly; no decision changes."""
    predictions = survey(OfPixels(IDENTITY, [0.5, 0.5, 0.5]), colours(RED, GREEN, BLUE), [0, 1, 1])
    fits = tabulate_fits(predictions, NAMES[:3])
    assert fits.alpha.tolist() == pytest.approx([1, 1, 1])
    assert fits.beta.tolist() == pytest.approx([-0.5] * 3)
    assert fits.largest_output.tolist() == pytest.approx([1.5] * 3)
    accuracy = tabulate_accuracy(predictions)
    assert accuracy.original.tolist() == accuracy.zeroed.tolist() == pytest.approx([2 / 3, 2 / 3, 1])
    assert not accuracy.difference.any() and not accuracy.standard_error.any()


def test_biases_along_the_output_of_a_linear_network():
    """On red f = (1, 0, 0) + (1, 0, 0) = 2 f without biases: α = 1/2, β = 0, ρ = 1."""
    predictions = survey(OfPixels(IDENTITY, [1.0, 0.0, 0.0]), colours(RED), [0])
    fits = tabulate_fits(predictions, NAMES[:1])
    assert (fits.alpha[0], fits.beta[0], fits.r_squared[0]) == pytest.approx((0.5, 0, 1))
    assert tabulate_outputs(predictions, NAMES[:1]).correlation[0] == pytest.approx(1)


def test_biases_that_decide():
    """On green f = (0, 1, 0) + (2, 0, 0): red with biases, green without; ranks of green are 1 and 0."""
    predictions = survey(OfPixels(IDENTITY, [2.0, 0.0, 0.0]), colours(GREEN, RED), [1, 0])
    outputs = tabulate_outputs(predictions, NAMES[:2])
    assert (outputs["rank"].tolist(), outputs.zeroed_rank.tolist()) == ([1, 0], [0, 0])
    accuracy = tabulate_accuracy(predictions)
    assert accuracy.k.tolist() == [1, 2, 3]  # there are three classes
    assert (accuracy.original.tolist(), accuracy.zeroed.tolist()) == ([0.5, 1, 1], [1, 1, 1])
    assert accuracy.difference.tolist() == [0.5, 0, 0]
    assert accuracy.standard_error[0] == pytest.approx(stats.sem([1, 0]))


def test_a_network_without_biases_changes_nothing():
    network = OfPixels(IDENTITY, [0.0, 0.0, 0.0])
    predictions = survey(network, colours(RED, GREEN, (30, 20, 10)), [0, 2, 0])
    np.testing.assert_array_equal(predictions.outputs, predictions.zeroed_outputs)
    fits = tabulate_fits(predictions, NAMES[:3])
    assert fits.alpha.tolist() == pytest.approx([1] * 3)
    assert fits.beta.tolist() == pytest.approx([0] * 3)
    assert not tabulate_accuracy(predictions).difference.any()


def test_changes_are_of_pixels_before_preprocessing():
    """f = (r', g', b') for r' = (s r + d − 0.5) / 0.25."""
    description = describe("vgg16", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    changed = preprocess(colours((51, 102, 204)), description, scale=10, shift=-0.25)[0, :, 0, 0]
    wanted = [(10 * value - 0.25 - 0.5) / 0.25 for value in (0.2, 0.4, 0.8)]
    assert changed.tolist() == pytest.approx(wanted, rel=1e-5)


def test_robustness_of_a_linear_network():
    """f = (r, 0.3): red wins while s r + d > 0.3, for r = 1 and 0.2."""
    network = OfPixels([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [0.0, 0.3])
    predictions = survey(network, colours((255, 0, 0), (51, 0, 0)), [0, 1])
    table = tabulate_robustness(predictions, SCALES, SHIFTS, np.ones(2, bool)).set_index(["change", "value"])
    wanted = {("scale", 0.1): 0.5, ("scale", 1.0): 1, ("scale", 10.0): 0.5}  # at 10 the second is red as well
    wanted |= {("shift", -1.0): 0.5, ("shift", 0.0): 1, ("shift", 1.0): 0.5}
    assert table.accuracy.to_dict() == wanted
    assert table.relative_change.to_dict() == {key: value - 1 for key, value in wanted.items()}


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_scaling_keeps_every_decision_of_a_zero_bias_network(name):
    """Where pixels are not centred, a zero-bias network of ReLUs scales its logits with its input."""
    network, images = build(name, "zeroed"), torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        usual = network(preprocess(images, plain()))
        for scale in (0.001, 10.0, 1000.0):
            scaled = network(preprocess(images, plain(), scale=scale))
            torch.testing.assert_close(scaled, scale * usual, rtol=1e-3, atol=1e-4 * scale)
    labels = usual.argmax(1).numpy()
    predictions = predict(network, network, plain(), images, labels, [Condition(scale=s) for s in (0.001, 1.0, 1000.0)])
    assert len(predictions.changed_rank) == 3
    assert not predictions.rank.any() and not any(rank.any() for rank in predictions.changed_rank.values())


# --- formulas written out ----------------------------------------------------------------------------------------


def test_ranks():
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 4, (50, 7)).astype(float)  # many ties
    labels = rng.integers(0, 7, 50)
    for rank, row, label in zip(rank_labels(logits, labels), logits.tolist(), labels, strict=True):
        order = sorted(range(7), key=lambda c: (-row[c], c))
        assert rank == order.index(label)
    np.testing.assert_array_equal(rank_labels(logits, labels) == 0, logits.argmax(1) == labels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_must_be_finite(value):
    with pytest.raises(InputError, match=r"NaN or infinite values \(at scale 10\); all must be finite"):
        rank_labels(np.array([[1.0, value]]), np.array([0]), "at scale 10")


def test_fits_are_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, 9))
    x[4] = 2.5
    alpha, beta = fit_lines(x, y)
    for row in range(4):
        assert (alpha[row], beta[row]) == pytest.approx(tuple(np.polyfit(x[row], y[row], 1)))
    assert np.isnan([alpha[4], beta[4]]).all()


def test_standard_errors():
    values = np.random.default_rng(0).integers(-1, 2, 40)
    assert standard_error(values) == pytest.approx(stats.sem(values))
    assert np.isnan(standard_error(values[:1]))


def test_fits_are_of_images_drawn_by_seed():
    first, again, other = (mark(12, 5, seed) for seed in (0, 0, 1))
    assert first.sum() == other.sum() == 5
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert mark(12, 200, 0).all()


# --- the step ----------------------------------------------------------------------------------------------------

FLAGS = {
    **{"scales": SCALES, "shifts": SHIFTS, "change_images": 1000, "fits": 7, "seed": 0},
    **{"precision": "float32", "device": "cpu", "threads": 1},
}


def run(world, folder, **changes) -> dict[str, pd.DataFrame]:
    tables = {key: folder / f"{key}.csv" for key in ("accuracy", "outputs", "fits_table", "robustness")}
    data = {"network": world.networks["resnet50"], "test_images": [world.test_images], "images": [world.images]}
    flags = {**data, "name": "mine", **FLAGS, **tables}
    call_with_flags(survey_network.main, {**flags, **changes})
    return {key: pd.read_csv(path) for key, path in tables.items()}


def test_the_step_writes_tidy_tables(world, tmp_path):
    tables = run(world, tmp_path)
    network, description = load_network(world.networks["resnet50"])
    assert {key: len(table) for key, table in tables.items()} == {
        **{"accuracy": 5, "outputs": 20, "fits_table": 7, "robustness": 6}
    }
    count = sum(tensor.numel() for tensor in module_biases(network).values())
    for table in tables.values():
        assert (
            (table.network == "mine").all() and (table.biases == count).all() and (table.normalisation == "batch").all()
        )
        assert (table.classes == len(description.classes)).all()
    usual = tables["accuracy"].set_index("k").original[1]
    robustness = tables["robustness"].set_index(["change", "value"])
    assert robustness.accuracy["scale", 1.0] == robustness.accuracy["shift", 0.0] == usual
    assert (tables["outputs"]["rank"] == 0).mean() == usual


def test_blocks_of_images_change_nothing(world, tmp_path, monkeypatch):
    whole = run(world, tmp_path / "whole")
    monkeypatch.setattr(LabelledImages.batches, "__defaults__", (7,))
    for key, table in run(world, tmp_path / "parts").items():
        pd.testing.assert_frame_equal(table, whole[key], rtol=1e-4, atol=1e-4)


def test_joined_predictions_are_those_of_all_images():
    network, images = OfPixels(IDENTITY, [0.3, 0.0, 0.1]), torch.randint(0, 256, (9, 3, 2, 2), dtype=torch.uint8)
    labels = [0, 1, 2] * 3
    whole = survey(network, images, labels)
    parts = join([survey(network, images[part], labels[part]) for part in (slice(0, 4), slice(4, 9))])
    np.testing.assert_array_equal(whole.rank, parts.rank)
    assert whole.changed_rank.keys() == parts.changed_rank.keys()
    for condition, rank in whole.changed_rank.items():
        np.testing.assert_array_equal(rank, parts.changed_rank[condition])
    np.testing.assert_allclose(whole.zeroed_outputs, parts.zeroed_outputs, rtol=1e-6)
    np.testing.assert_allclose(whole.correlation, parts.correlation, rtol=1e-6)


def test_only_images_that_are_marked_are_changed_and_fitted():
    network, images = OfPixels(IDENTITY, [0.3, 0.0, 0.1]), torch.randint(0, 256, (9, 3, 2, 2), dtype=torch.uint8)
    labels, marked = np.array([0, 1, 2] * 3), np.arange(9) % 2 == 1
    flags = plain(), images, labels, CONDITIONS
    whole, some = predict(network, network, *flags), predict(network, network, *flags, changed=marked, fitted=~marked)
    for condition, rank in whole.changed_rank.items():
        np.testing.assert_array_equal(rank[marked], some.changed_rank[condition])
    np.testing.assert_allclose(whole.outputs[~marked], some.outputs, rtol=1e-6)
    np.testing.assert_array_equal(whole.rank, some.rank)
    none = predict(network, network, *flags, changed=np.zeros(9, bool))
    assert not none.changed_rank and join([none, some]).changed_rank.keys() == some.changed_rank.keys()
    table = tabulate_robustness(some, SCALES, SHIFTS, marked)
    assert (table.n == 4).all()
    assert table[table.value == 1].relative_change.iloc[0] == 0


def test_an_image_without_a_label_has_the_networks_decision_for_one():
    network, images = OfPixels(IDENTITY, [0.0, 0.0, 0.0]), colours(RED, GREEN, BLUE)
    predictions = survey(network, images, [UNLABELLED, 0, UNLABELLED])
    assert predictions.rank.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"scales": [1.0, 0.0]}, "survey.scales is 0; allowed is a number > 0"),
        ({"scales": [-1.0]}, "survey.scales is -1; allowed is a number > 0"),
        ({"shifts": [1.5]}, "survey.shifts is 1.5; allowed is a number >= -1 and <= 1"),
        ({"change_images": 0}, "survey.change_images is 0; allowed is a number >= 1"),
        ({"fits": 0}, "survey.fits is 0; allowed is a number >= 1"),
        ({"device": "tpu"}, "device is tpu; allowed are auto, cpu, cuda, cuda:<n>"),
    ],
)
def test_bad_flags(world, tmp_path, flags, message):
    with pytest.raises(InputError) as raised:
        run(world, tmp_path / "none", **flags)
    assert str(raised.value) == message
    assert not (tmp_path / "none").exists()
