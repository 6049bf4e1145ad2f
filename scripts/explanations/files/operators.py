"""The removal operator that results don't name, and that a configuration has if it names none: the paper's.

Needs the standard library alone: the workflow's plan uses it too.
"""

PAPERS_OPERATOR = "fill"
