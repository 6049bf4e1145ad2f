"""Single-patch correlation: do patches whose removal costs the class most have most of a map?

An image is cut into a grid of P × P patches, and each is removed alone. Its drop is what the class's score, a logit or
a probability, loses by that. A map's correlation is Spearman's ρ, over an image's patches, between their drops and the
map's sums over them: 1 is best. The drops are those of the network, whatever the map.

It is the single deletion score of Hesse, Schaub-Meyer and Roth (2024), by logits and zeros, of 4 × 4 patches: what they
call in-domain (IDSDS) is that of networks that they fine-tuned on images without patches, which isn't done here.
As in their code, patches are of ⌊H / P⌋ × ⌊W / P⌋ pixels from the top left; pixels beyond the last are in none.
"""

from collections.abc import Mapping

import numpy as np

from explanations.errors import check_range
from explanations.removal.curves import SCORES, compare_with_noise
from explanations.statistics.correlation import rank_correlation

PATCH_MEASURES = tuple(
    name for score in SCORES for name in (f"patches_{score}", f"patches_{score}_noise", f"delta_patches_{score}")
)


def split_patches(values: np.ndarray, side: int) -> np.ndarray:
    """The pixels of arrays (…, H, W) by patch, row by row, (…, side², pixels); InputError for more than there are."""
    *others, height, width = values.shape
    check_range("removal.patches", side, low=2, high=min(height, width))
    rows, columns = height // side, width // side
    patches = values[..., : side * rows, : side * columns].reshape(*others, side, rows, side, columns)
    return patches.swapaxes(-3, -2).reshape(*others, side**2, rows * columns)


def sum_patches(maps: np.ndarray, side: int) -> np.ndarray:
    """The sums of maps (n, H, W) over patches, (n, side²) f8."""
    return split_patches(maps, side).sum(-1, dtype=float)


def correlate_drops(scores: np.ndarray, sums: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """The correlations of n images' drops with own and noise maps' sums, (n, 1 + noise maps).

    `scores` (n, 1 + side²) are those of the whole image, then without each patch; `sums` (n, side²) are of the images'
    own maps; `partners` (n, noise maps) says whose map is each ξ. NaN where all drops, or all sums, are alike.
    """
    drops = scores[:, :1].astype(float) - scores[:, 1:]
    sources = [sums, *(sums[images] for images in partners.T)]
    return np.stack([rank_correlation(drops, each) for each in sources], 1)


def derive_patch_measures(correlations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All PATCH_MEASURES, (n,) each, of one method's correlations by score, (n, 1 + noise maps)."""
    return {
        name: values
        for score in SCORES
        for name, values in compare_with_noise(f"patches_{score}", correlations[score]).items()
    }
