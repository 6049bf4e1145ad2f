"""How far measures agree in which methods are better: Spearman's ρ of their orders, with intervals over images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from explanations.statistics.tests import CONFIDENCE, group_by_class


@dataclass(frozen=True)
class Agreement:
    """Spearman's ρ of the orders of methods by k measures: `rho` (k, k), and in resamples of the images, (r, k, k).

    NaN where one of the two measures gives all methods the same.
    """

    rho: np.ndarray
    resampled: np.ndarray
    images: int

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounds of the 95% percentile interval, (k, k) each; of resamples in which both measures have an order."""
        return percentile_interval(self.resampled)


def percentile_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of the 95% percentile interval of values (r, …), (…) each; NaN is left out."""
    tail = 100 * (1 - CONFIDENCE) / 2
    known = ~np.isnan(values).all(0)
    bounds = np.full((2, *values.shape[1:]), np.nan)
    bounds[:, known] = np.nanpercentile(values[:, known], [tail, 100 - tail], axis=0)
    return bounds[0], bounds[1]


def measure_agreement(
    values: np.ndarray, larger: Sequence[bool], classes: np.ndarray, resamples: int, rng: np.random.Generator
) -> Agreement:
    """The agreement of k measures of the same n images and m methods: values (k, n, m), NaN where there is none.

    Methods are in the order of their medians over images; `larger` says of each measure whether larger is better.
    Resamples draw whole classes, the same for all measures and methods: images of a class are not independent.
    """
    signs = np.where(larger, 1.0, -1.0)[:, None]
    names, member = group_by_class(classes)
    images = [np.flatnonzero(member == each) for each in range(len(names))]
    drawn = rng.integers(0, len(names), (resamples, len(names)))
    medians = [np.nanmedian(values[:, np.concatenate([images[each] for each in chosen])], axis=1) for chosen in drawn]
    whole = np.nanmedian(values, axis=1)
    orders = correlate_orders(signs * whole), correlate_orders(signs * np.stack(medians))
    return Agreement(*orders, images=len(classes))


def correlate_orders(scores: np.ndarray) -> np.ndarray:
    """Spearman's ρ of all pairs of k rows of scores (…, k, m), (…, k, k); NaN of a row whose scores are all alike."""
    ranks = rankdata(scores, axis=-1, nan_policy="omit")
    centred = ranks - ranks.mean(-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(-1, keepdims=True))
    unit = np.divide(centred, norm, out=np.full_like(centred, np.nan), where=norm > 0)
    return np.clip(unit @ np.swapaxes(unit, -1, -2), -1, 1)
