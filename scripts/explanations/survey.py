"""What a network's biases do to its decisions: accuracy, outputs, robustness to the input's range (§3, Suppl. B)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor, nn

from explanations.command import InputError, check_range
from explanations.descriptions import NetworkDescription
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

    rank[condition] (n,) is the label's place among the network's outputs, 0 if it is the decision; zeroed_rank (n,) is
    that of the copy, images unchanged; outputs and zeroed_outputs (n, C) are the logits behind both.
    """

    rank: dict[Condition, np.ndarray]
    zeroed_rank: np.ndarray
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
) -> Answers:
    """One pass of (n, 3, H, W) uint8 images and their (n,) labels for each condition, and one without biases.

    Batch normalisation's statistics are as trained.
    """
    rank = {}
    for condition in dict.fromkeys([UNCHANGED, *conditions]):
        logits = (
            predict_logits(network, images, description, scale=condition.scale, shift=condition.shift).cpu().numpy()
        )
        rank[condition] = rank_labels(logits, labels, f"{condition}")
        if condition == UNCHANGED:
            outputs = logits
    without = predict_logits(zeroed, images, description).cpu().numpy()
    return Answers(rank, rank_labels(without, labels, "without biases"), outputs, without)


def join(parts: Sequence[Answers]) -> Answers:
    """The answers about several blocks of images, as one."""
    return Answers(
        {condition: np.concatenate([part.rank[condition] for part in parts]) for condition in parts[0].rank},
        *(
            np.concatenate([getattr(part, key) for part in parts])
            for key in ("zeroed_rank", "outputs", "zeroed_outputs")
        ),
    )


def rank_labels(logits: np.ndarray, labels: np.ndarray, where: str = "") -> np.ndarray:
    """How many of (n, C) outputs come before the label's, (n,): larger ones, and equal ones of a lower index.

    An image counts for top-k where this is less than k; argmax breaks ties in the same way. InputError for outputs that
    aren't finite.
    """
    if not np.isfinite(logits).all():
        raise InputError(f"the network's outputs hold NaN or infinite values ({where}); all must be finite")
    own = np.take_along_axis(logits, labels[:, None], 1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(1)


# --- tables ------------------------------------------------------------------------------------------------------


def tabulate_accuracy(answers: Answers) -> pd.DataFrame:
    """Top-k accuracy before and after biases are zeroed (figs 3, S3), and their difference with its standard error.

    The error is that of the mean over images of the paired difference.
    """
    rows = []
    for k in range(1, min(TOP, answers.outputs.shape[1]) + 1):
        before, after = answers.rank[UNCHANGED] < k, answers.zeroed_rank < k
        difference = after.astype(float) - before
        rows.append(
            {
                **{"k": k, "n": len(before), "original": before.mean(), "zeroed": after.mean()},
                **{"difference": difference.mean(), "standard_error": standard_error(difference)},
            }
        )
    return pd.DataFrame(rows)


def tabulate_robustness(answers: Answers, scales: Sequence[float], shifts: Sequence[float]) -> pd.DataFrame:
    """Top-1 accuracy as the input is scaled and shifted (figs S1, S2), and its change relative to that unchanged."""
    usual = (answers.rank[UNCHANGED] == 0).mean()
    rows = []
    for change, values in (("scale", scales), ("shift", shifts)):
        for value in sorted(values):
            correct = answers.rank[Condition(**{change: value})] == 0
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
    ranks = {"rank": answers.rank[UNCHANGED], "zeroed_rank": answers.zeroed_rank}
    return pd.DataFrame({"image": images, **ranks, "correlation": pearson(answers.outputs, answers.zeroed_outputs)})


def tabulate_fits(answers: Answers, images: Sequence[str], fits: int, seed: int) -> pd.DataFrame:
    """The fits f^{b=0} = α f + β over classes (fig. S5), of `fits` images drawn by seed, or of all if there are fewer.

    `largest_output` is max_c |f_c| of the image, what β is to be compared with; `r_squared` the share of the variance
    of f^{b=0} that the fit explains.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(images), min(fits, len(images)), replace=False))
    outputs, zeroed = answers.outputs[chosen], answers.zeroed_outputs[chosen]
    alpha, beta = fit_lines(outputs, zeroed)
    return pd.DataFrame(
        {
            **{"image": [images[index] for index in chosen], "alpha": alpha, "beta": beta},
            **{"r_squared": pearson(outputs, zeroed) ** 2, "largest_output": np.abs(outputs).max(1)},
        }
    )


def standard_error(values: np.ndarray) -> float:
    """The standard error of the mean of (n,) values; NaN of a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
