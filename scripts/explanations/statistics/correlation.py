"""Spearman's ρ within images: of two maps over their pixels, of numbers over an image's patches."""

import numpy as np
from scipy.stats import rankdata

from explanations.statistics.tests import pearson


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's ρ over the values of (n, …) with (n, …), (n,); NaN where one of the two is constant."""
    ranks = [rankdata(values.reshape(len(values), -1), axis=1) for values in (first, second)]
    return pearson(*(each[:, None] for each in ranks))
