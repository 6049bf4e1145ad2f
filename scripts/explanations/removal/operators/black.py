"""A removed pixel becomes black, and stays opaque."""

from explanations.removal.operators.base import COLOURS, Operator, Pictures, replace_by


def make(pictures: Pictures, setting: None) -> Operator:
    """Removal that writes what the network reads where a picture's pixel is 0."""
    black = (0 - pictures.mean) / pictures.std
    black[COLOURS:] = 0
    return replace_by(pictures.inputs, black[:, None, None])
