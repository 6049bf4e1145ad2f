"""How alike two maps are."""

import numpy as np
from scipy.stats import rankdata

from explanations.statistics.tests import pearson


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's ρ over the pixels of maps (n, H, W) with (n, H, W), (n,); NaN where one of the two is constant."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    return pearson(*(each[:, None] for each in ranks))
