"""What a network's biases do to its decisions: accuracy, outputs, robustness to the input's range (§3, Suppl. B)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from explanations.errors import check_choice, check_range
from explanations.files.descriptions import NetworkDescription
from explanations.files.manifests import UNLABELLED
from explanations.flags import flag
from explanations.networks.devices import PRECISIONS
from explanations.networks.evaluation import check_finite
from explanations.networks.files import predict_logits
from explanations.statistics.tests import fit_lines, pearson

TOP = 5  # accuracies are top-1 to top-5


@dataclass(frozen=True)
class SurveySettings:
    """What a survey's tables depend on, beside the network and the images; InputError for values out of range.

    Scales are above 0, shifts at most a full range either way.
    """

    scales: Sequence[float] = flag("what pixel values are multiplied by", nargs="+")
    shifts: Sequence[float] = flag("what is added to pixel values, in full ranges", nargs="+")
    change_images: int = flag("images whose pixel values are changed", 5000)
    fits: int = flag("images whose outputs are fitted", 200)
    precision: str = flag("of the passes", "float32", choices=PRECISIONS)
    seed: int = flag("of the choice of these images", 0)

    def __post_init__(self):
        for value in self.scales:
            check_range("survey.scales", value, low=0, open_low=True)
        for value in self.shifts:
            check_range("survey.shifts", value, low=-1, high=1)
        check_range("survey.change_images", self.change_images, low=1)
        check_range("survey.fits", self.fits, low=1)
        check_choice("survey.precision", self.precision, PRECISIONS)

    def conditions(self) -> list["Condition"]:
        """All changes of the input."""
        return [*(Condition(scale=value) for value in self.scales), *(Condition(shift=value) for value in self.shifts)]


@dataclass(frozen=True)
class Condition:
    """A change of the input: pixel values, in [0, 1], times `scale` plus `shift`, before preprocessing."""

    scale: float = 1.0
    shift: float = 0.0


UNCHANGED = Condition()


@dataclass(frozen=True)
class Predictions:
    """The predictions of a network and of its zeroed copy for n images.

    rank (n,) is the label's rank among the network's outputs, 0 if it is the decision; zeroed_rank (n,) is that of the
    copy; correlation (n,) is Pearson's of both outputs over classes; classes is their number. changed_rank[condition]
    (m,) is the rank where the input is changed, of the m images that are changed. outputs and zeroed_outputs (k, C)
    are the logits of the k images whose outputs are kept.
    """

    rank: np.ndarray
    zeroed_rank: np.ndarray
    correlation: np.ndarray
    classes: int
    changed_rank: dict[Condition, np.ndarray]
    outputs: np.ndarray
    zeroed_outputs: np.ndarray


def predict(
    network: nn.Module,
    zeroed: nn.Module,
    description: NetworkDescription,
    images: Tensor,
    labels: np.ndarray,
    conditions: Sequence[Condition],
    changed: np.ndarray | None = None,
    fitted: np.ndarray | None = None,
) -> Predictions:
    """Predictions for (n, 3, H, W) uint8 images and their (n,) labels: as they are, without biases, in each condition.

    The input is changed for the images that `changed` (n,) bool marks, outputs are kept of those that `fitted` (n,)
    bool marks; of all if left out. Batch normalisation's statistics are as trained. An image without a label gets the
    network's decision for one.
    """
    everything = np.ones(len(images), bool)
    changed, fitted = (everything if chosen is None else chosen for chosen in (changed, fitted))

    def logits(variant: nn.Module, pixels: Tensor, condition: Condition = UNCHANGED) -> np.ndarray:
        outputs = predict_logits(variant, pixels, description, scale=condition.scale, shift=condition.shift)
        return outputs.float().cpu().numpy()

    outputs, without = logits(network, images), logits(zeroed, images)
    labels = np.where(labels == UNLABELLED, outputs.argmax(1), labels)
    rank = rank_labels(outputs, labels)
    changed_rank = {}
    for condition in dict.fromkeys(conditions) if changed.any() else ():
        if condition == UNCHANGED:
            changed_rank[condition] = rank[changed]
        else:
            moved = logits(network, images[torch.from_numpy(changed)], condition)
            changed_rank[condition] = rank_labels(moved, labels[changed], f"{condition}")
    return Predictions(
        rank=rank,
        zeroed_rank=rank_labels(without, labels, "without biases"),
        correlation=pearson(outputs, without),
        classes=outputs.shape[1],
        changed_rank=changed_rank,
        outputs=outputs[fitted],
        zeroed_outputs=without[fitted],
    )


def join(parts: Sequence[Predictions]) -> Predictions:
    """The predictions for several blocks of images, as one."""
    changes = dict.fromkeys(condition for part in parts for condition in part.changed_rank)
    return Predictions(
        **{
            key: np.concatenate([getattr(part, key) for part in parts])
            for key in ("rank", "zeroed_rank", "correlation", "outputs", "zeroed_outputs")
        },
        classes=parts[0].classes,
        changed_rank={
            condition: np.concatenate([part.changed_rank[condition] for part in parts if part.changed_rank])
            for condition in changes
        },
    )


def rank_labels(logits: np.ndarray, labels: np.ndarray, where: str = "as it came") -> np.ndarray:
    """How many of (n, C) outputs come before the label's, (n,): larger ones, and equal ones of a lower index.

    An image counts for top-k where this is less than k; argmax breaks ties in the same way. InputError for outputs that
    aren't finite.
    """
    check_finite(bool(np.isfinite(logits).all()), where)
    own = np.take_along_axis(logits, labels[:, None], 1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(1)


# --- tables ------------------------------------------------------------------------------------------------------


def tabulate_accuracy(predictions: Predictions) -> pd.DataFrame:
    """Top-k accuracy before and after biases are zeroed (figs 3, S3), and their difference with its standard error.

    The error is that of the mean over images of the paired difference.
    """
    rows = []
    for k in range(1, min(TOP, predictions.classes) + 1):
        before, after = predictions.rank < k, predictions.zeroed_rank < k
        difference = after.astype(float) - before
        rows.append(
            {
                **{"k": k, "n": len(before), "original": before.mean(), "zeroed": after.mean()},
                **{"difference": difference.mean(), "standard_error": standard_error(difference)},
            }
        )
    return pd.DataFrame(rows)


def tabulate_robustness(
    predictions: Predictions, scales: Sequence[float], shifts: Sequence[float], changed: np.ndarray
) -> pd.DataFrame:
    """Top-1 accuracy as the input is scaled and shifted (figs S1, S2), and its change relative to that unchanged.

    Of the images that `changed` (n,) bool marks, whose input was.
    """
    usual = (predictions.rank[changed] == 0).mean()
    rows = []
    for change, values in (("scale", scales), ("shift", shifts)):
        for value in sorted(values):
            correct = predictions.changed_rank[Condition(**{change: value})] == 0
            accuracy = correct.mean()
            relative = accuracy / usual - 1 if usual else np.nan
            rows.append(
                {
                    **{"change": change, "value": value, "n": len(correct), "accuracy": accuracy},
                    **{"standard_error": standard_error(correct), "relative_change": relative},
                }
            )
    return pd.DataFrame(rows)


def tabulate_outputs(predictions: Predictions, images: Sequence[str]) -> pd.DataFrame:
    """Of each image: the label's ranks, and Pearson's correlation of the outputs before and after (fig. S4)."""
    ranks = {"rank": predictions.rank, "zeroed_rank": predictions.zeroed_rank}
    return pd.DataFrame({"image": images, **ranks, "correlation": predictions.correlation})


def tabulate_fits(predictions: Predictions, images: Sequence[str]) -> pd.DataFrame:
    """The fits f^{b=0} = α f + β over classes (fig. S5), of the images, by name, whose outputs were kept.

    `largest_output` is max_c |f_c| of the image, what β is to be compared with; `r_squared` the share of the variance
    of f^{b=0} that the fit explains.
    """
    outputs, zeroed = predictions.outputs, predictions.zeroed_outputs
    alpha, beta = fit_lines(outputs, zeroed)
    return pd.DataFrame(
        {
            **{"image": images, "alpha": alpha, "beta": beta},
            **{"r_squared": pearson(outputs, zeroed) ** 2, "largest_output": np.abs(outputs).max(1)},
        }
    )


def standard_error(values: np.ndarray) -> float:
    """The standard error of the mean of (n,) values; NaN of a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
