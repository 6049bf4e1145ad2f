"""All channels of a removed pixel become one value in the network's input space; 0, the mean colour, is the paper's."""

from explanations.removal.operators.base import Operator, Pictures, replace_by


def make(pictures: Pictures, value: float) -> Operator:
    """Removal that writes `value`."""
    return replace_by(pictures.inputs, pictures.inputs.new_tensor(value))
