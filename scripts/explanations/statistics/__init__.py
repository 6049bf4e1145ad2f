"""Tests, comparisons, the claims of the paper."""
