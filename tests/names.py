"""Names that a network, a class or a folder may have, and that readers of tables and of YAML take for other things."""

NAMES = ("NA", "null", "1e5", "101", "no", "True", "nan", "None", "inf", "0x10", "1_000", "N_A", "007")
