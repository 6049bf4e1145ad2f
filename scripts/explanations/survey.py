"""What a network's biases do to its decisions: accuracy, outputs, robustness to the input's range (§3, Suppl. B)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from explanations.command import check_range
from explanations.descriptions import NetworkDescription
from explanations.evaluation import check_finite
from explanations.manifests import UNLABELLED
from explanations.networks import predict_logits
from explanations.statistics import fit_lines, pearson

TOP = 5  # accuracies are top-1 to top-5


@dataclass(frozen=True)
class Condition:
    """A change of the input: pixel values, in [0, 1], times `scale` plus `shift`, before preprocessing."""

    scale: float = 1.0
    shift: float = 0.0


UNCHANGED = Condition()


@dataclass(frozen=True)
class Answers:
    """What a network and its zeroed copy say about n images.

    rank (n,) is the label's place among the network's outputs, 0 if it is the decision; zeroed_rank (n,) is that of the
    copy; correlation (n,) is Pearson's of both outputs over classes; classes is their number. changed_rank[condition]
    (m,) is the rank where the input is changed, of the m images that were asked for. outputs and zeroed_outputs (k, C)
    are the logits of the k images whose outputs were asked for.
    """

    rank: np.ndarray
    zeroed_rank: np.ndarray
    correlation: np.ndarray
    classes: int
    changed_rank: dict[Condition, np.ndarray]
    outputs: np.ndarray
    zeroed_outputs: np.ndarray


def check_changes(scales: Sequence[float], shifts: Sequence[float]) -> None:
    """Raise an InputError unless all scales are above 0 and all shifts within a full range either way."""
    for value in scales:
        check_range("survey.scales", value, low=0, open_low=True)
    for value in shifts:
        check_range("survey.shifts", value, low=-1, high=1)


def ask(
    network: nn.Module,
    zeroed: nn.Module,
    description: NetworkDescription,
    images: Tensor,
    labels: np.ndarray,
    conditions: Sequence[Condition],
    changed: np.ndarray | None = None,
    fitted: np.ndarray | None = None,
) -> Answers:
    """One pass of (n, 3, H, W) uint8 images and their (n,) labels, one without biases, and one for each condition.

    The input is changed for the images that `changed` (n,) bool marks, outputs are kept of those that `fitted` (n,)
    bool marks; of all if left out. Batch normalisation's statistics are as trained. An image without a label gets the
    network's decision for one.
    """
    everything = np.ones(len(images), bool)
    changed, fitted = (everything if chosen is None else chosen for chosen in (changed, fitted))

    def logits(asked: nn.Module, pixels: Tensor, condition: Condition = UNCHANGED) -> np.ndarray:
        found = predict_logits(asked, pixels, description, scale=condition.scale, shift=condition.shift)
        return found.float().cpu().numpy()

    outputs, without = logits(network, images), logits(zeroed, images)
    labels = np.where(labels == UNLABELLED, outputs.argmax(1), labels)
    rank = rank_labels(outputs, labels)
    changed_rank = {}
    for condition in dict.fromkeys(conditions) if changed.any() else ():
        if condition == UNCHANGED:
            changed_rank[condition] = rank[changed]
        else:
            found = logits(network, images[torch.from_numpy(changed)], condition)
            changed_rank[condition] = rank_labels(found, labels[changed], f"{condition}")
    return Answers(
        rank=rank,
        zeroed_rank=rank_labels(without, labels, "without biases"),
        correlation=pearson(outputs, without),
        classes=outputs.shape[1],
        changed_rank=changed_rank,
        outputs=outputs[fitted],
        zeroed_outputs=without[fitted],
    )


def join(parts: Sequence[Answers]) -> Answers:
    """The answers about several blocks of images, as one."""
    changes = dict.fromkeys(condition for part in parts for condition in part.changed_rank)
    return Answers(
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


def tabulate_accuracy(answers: Answers) -> pd.DataFrame:
    """Top-k accuracy before and after biases are zeroed (figs 3, S3), and their difference with its standard error.

    The error is that of the mean over images of the paired difference.
    """
    rows = []
    for k in range(1, min(TOP, answers.classes) + 1):
        before, after = answers.rank < k, answers.zeroed_rank < k
        difference = after.astype(float) - before
        rows.append(
            {
                **{"k": k, "n": len(before), "original": before.mean(), "zeroed": after.mean()},
                **{"difference": difference.mean(), "standard_error": standard_error(difference)},
            }
        )
    return pd.DataFrame(rows)


def tabulate_robustness(
    answers: Answers, scales: Sequence[float], shifts: Sequence[float], changed: np.ndarray
) -> pd.DataFrame:
    """Top-1 accuracy as the input is scaled and shifted (figs S1, S2), and its change relative to that unchanged.

    Of the images that `changed` (n,) bool marks, whose input was.
    """
    usual = (answers.rank[changed] == 0).mean()
    rows = []
    for change, values in (("scale", scales), ("shift", shifts)):
        for value in sorted(values):
            correct = answers.changed_rank[Condition(**{change: value})] == 0
            accuracy = correct.mean()
            relative = accuracy / usual - 1 if usual else np.nan
            rows.append(
                {
                    **{"change": change, "value": value, "n": len(correct), "accuracy": accuracy},
                    **{"standard_error": standard_error(correct), "relative_change": relative},
                }
            )
    return pd.DataFrame(rows)


def tabulate_outputs(answers: Answers, images: Sequence[str]) -> pd.DataFrame:
    """Of each image: the label's ranks, and Pearson's correlation of the outputs before and after (fig. S4)."""
    ranks = {"rank": answers.rank, "zeroed_rank": answers.zeroed_rank}
    return pd.DataFrame({"image": images, **ranks, "correlation": answers.correlation})


def tabulate_fits(answers: Answers, images: Sequence[str]) -> pd.DataFrame:
    """The fits f^{b=0} = α f + β over classes (fig. S5), of the images, by name, whose outputs were kept.

    `largest_output` is max_c |f_c| of the image, what β is to be compared with; `r_squared` the share of the variance
    of f^{b=0} that the fit explains.
    """
    outputs, zeroed = answers.outputs, answers.zeroed_outputs
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
