"""A removed pixel becomes that of a blurred copy of its own image, which still tells of its surroundings."""

from explanations.methods.transform import blur
from explanations.removal.operators.base import Operator, Pictures, replace_by


def make(pictures: Pictures, sigma: float) -> Operator:
    """Removal that writes the pixels of the image after a Gaussian filter; σ is a share of the image's longer side."""
    return replace_by(pictures.inputs, blur(pictures.inputs, sigma))
