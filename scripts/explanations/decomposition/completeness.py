"""The gate that all attributions pass: Eq. 13 holds at every layer, and every value is finite."""

from collections.abc import Sequence

from explanations.decomposition.decomposition import Attributions, completeness_gap
from explanations.errors import InputError


def check_attributions(
    attributions: Attributions, bias_layers: list[int], names: Sequence[str], tolerance: float
) -> None:
    """InputError unless Eq. 13 holds at every layer, to `tolerance` times its terms' magnitudes, and all is finite.

    `names` are what a message calls each of the n images; `bias_layers` are the layers of the biased operations.
    """
    parts = {
        "logits": [attributions.logits],
        "activity": attributions.activity,
        "bias": attributions.bias,
        "fullgrad_feature": attributions.fullgrad_feature,
        "gradient": [attributions.gradient],
        "gradcam": [attributions.gradcam],
        "activity_elsewhere": [attributions.activity_non_spatial],
        "bias_elsewhere": [attributions.bias_non_spatial],
    }
    for part, arrays in parts.items():
        for index, values in enumerate(arrays):
            finite = values.flatten(1).isfinite().all(1)
            if not finite.all():
                name = names[int((~finite).nonzero()[0])]
                raise InputError(f"{name}: {part} {index} holds NaN or infinite values")
    gap, size = completeness_gap(attributions, bias_layers)
    bad = (~(gap.abs() <= tolerance * size)).nonzero()  # so that NaN isn't complete
    if len(bad):
        image, layer = bad[0].tolist()
        score = attributions.score[image].item()
        raise InputError(
            f"{names[image]}, layer {layer}: the decomposition sums to "
            f"{score + gap[image, layer].item():.6g}, the score is {score:.6g}; allowed is a gap of "
            f"{tolerance:g} times the terms' magnitude, {size[image, layer].item():.6g}"
        )
