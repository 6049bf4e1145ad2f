"""When p is significant, and how it is written."""

import math

import numpy as np
import pandas as pd
import pytest

from explanations.statistics.significance import ALPHA, describe_p, is_significant, typeset_p


def test_significance_is_below_alpha():
    below, at, above = math.log10(ALPHA) - 1e-9, math.log10(ALPHA), math.log10(ALPHA) + 1e-9
    assert is_significant(below) and not is_significant(at) and not is_significant(above)
    assert is_significant(pd.Series([-300, at, np.nan, 0])).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("p", "described", "typeset"),
    [
        (1, "1", "1.00"),
        (0.0512, "0.051", "0.05"),
        (0.0021, "0.0021", "0.002"),
        (3e-4, "10⁻³·⁵", "$10^{-4}$"),
        (1e-300, "10⁻³⁰⁰·⁰", "$10^{-300}$"),
    ],
)
def test_p_as_text_and_in_a_figure(p, described, typeset):
    assert (describe_p(math.log10(p)), typeset_p(math.log10(p))) == (described, typeset)
