"""Measures of whole removals: areas by the curves of the class's score along them, in both orders.

A curve f_0 … f_K is the score, a probability or a logit, with no pixel removed, after each of the grid's K steps, and
with all pixels removed. f₋ removes the least salient pixels first (LeRF; LIF in Blücher et al.), f₊ the most salient
first (MoRF; MIF). Insertion puts pixels, the most salient first, back onto the image of which all are removed: that
gives the images of f₋ from its end to its start, so it is f₋ read backwards and takes no passes of its own.

With A(f) = 1/K Σ_{k=1…K} (f_{k−1} + f_k) / 2, the area under a curve over the share of pixels that are removed:

deletion   A(f₊), smaller is better (Petsiuk et al., 2018; trapezoids, as their code has them);
insertion  A(f₋), larger is better, as all below (the same; they put pixels onto a blurred image, this onto what the
           removal operator leaves);
srg        A(f₋) − A(f₊), the area between the curves: symmetric relevance gain (Blücher et al., 2024);
aopc       1/(K + 1) Σ_{k=0…K} (f_0 − f₊_k), the area over the perturbation curve (Samek et al., 2017);
abpc       1/(K + 1) Σ_{k=0…K} (f₋_k − f₊_k), the area between perturbation curves (the same).

These are not five independent measures. f₋ and f₊ of an image begin and end alike, so that abpc = K / (K + 1) · srg,
and aopc = f_0 − (K · deletion + (f_0 + f_K) / 2) / (K + 1): abpc orders methods as srg does; of one image, aopc orders
them as −deletion does; and their δ, in which f_0 and f_K cancel, are K / (K + 1) of those of srg and of −deletion.
"""

from collections.abc import Mapping

import numpy as np

SCORES = ("probability", "logit")
AREAS = ("deletion", "insertion", "srg", "aopc", "abpc")
CURVE_MEASURES = tuple(  # by an image's own map, by noise maps, and the difference of both
    name
    for score in SCORES
    for area in AREAS
    for name in (f"{area}_{score}", f"{area}_{score}_noise", f"delta_{area}_{score}")
)


def measure_areas(minus: np.ndarray, plus: np.ndarray) -> dict[str, np.ndarray]:
    """All AREAS of the curves f₋ and f₊ (…, K + 1) of the same images, (…) each, in f8; in the unit of the score."""
    minus, plus = minus.astype(float), plus.astype(float)
    deletion, insertion = area_under(plus), area_under(minus)
    return {
        "deletion": deletion,
        "insertion": insertion,
        "srg": insertion - deletion,
        "aopc": plus[..., 0] - plus.mean(-1),
        "abpc": minus.mean(-1) - plus.mean(-1),
    }


def area_under(curve: np.ndarray) -> np.ndarray:
    """A(f) of curves (…, K + 1), (…): the mean over steps of their trapezoids."""
    return (curve[..., :-1] + curve[..., 1:]).mean(-1) / 2


def derive_curve_measures(curves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All CURVE_MEASURES, (n,) each, of one method's curves by score, (n, 1 + noise maps, 2, K + 1): f₋, then f₊."""
    measures = {}
    for score in SCORES:
        minus, plus = curves[score][:, :, 0], curves[score][:, :, 1]
        for area, values in measure_areas(minus, plus).items():
            measures |= compare_with_noise(f"{area}_{score}", values)
    return measures


def compare_with_noise(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """A measure by own maps, by noise maps, and the difference δ, (n,) each, of its values (n, 1 + noise maps).

    The first map is the image's own. As with e (Eqs 18, 20), that of noise maps is the mean over them, and δ is what
    the image's own map has more than that.
    """
    own, noise = values[:, 0], values[:, 1:].mean(1)
    return {name: own, f"{name}_noise": noise, f"delta_{name}": own - noise}
