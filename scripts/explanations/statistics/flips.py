"""Which images' decisions never flip, whatever is removed."""

import numpy as np

from explanations.files.measurements import NEVER, Measurements, orders_of


def never_flipped(results: Measurements, measure: str, method: str) -> np.ndarray:
    """Whether any scan that a measure rests on never flipped, (n,)."""
    column = results.methods.index(method)
    never = np.zeros(len(results.image), bool)
    for order in orders_of(measure):
        if not measure.endswith("noise"):
            never |= results.values[f"flip_{order}"][:, column] == NEVER
        if measure.endswith("noise") or measure.startswith("delta"):
            never |= (results.values[f"flip_{order}_noise"][:, column] == NEVER).any(-1)
    return never
