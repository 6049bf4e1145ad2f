"""The orders in which pixels are removed, as results name them.

Needs the standard library alone: the workflow's plan uses it too.
"""

ORDERS = ("minus", "plus")  # the least salient pixels first, the most salient first
