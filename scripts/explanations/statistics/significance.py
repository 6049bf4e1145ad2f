"""When a p-value counts as significant, and how it is written: as log10 p, since it may be below 1e-300."""

import numpy as np

ALPHA = 0.05
RAISED = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_significant(log10_p):
    """Whether p < ALPHA, for one value or for each of an array or column of them; a missing p is not."""
    return log10_p < np.log10(ALPHA)


def describe_p(log10_p: float) -> str:
    """A p-value as plain text: two significant digits, from 0.001 down a power of ten, 10⁻⁵·⁶."""
    return f"{10**log10_p:.2g}" if log10_p > -3 else "10" + f"{log10_p:.1f}".translate(RAISED)


def typeset_p(log10_p: float) -> str:
    """A p-value for a figure: two or three decimals, from 0.001 down the nearest power of ten."""
    if log10_p > -2:
        return f"{10**log10_p:.2f}"
    return f"{10**log10_p:.3f}" if log10_p > -3 else rf"$10^{{{round(log10_p)}}}$"
