"""Names that a network, a class or a folder may have, and that readers of tables and of YAML take for other things."""

NAMES = ("NA", "null", "1e5", "101", "no", "True", "nan", "None", "inf", "0x10", "1_000", "N_A", "007")

# names of classes that a formula, a spreadsheet, a page or a line could stumble over
AWKWARD = (
    *(
        r"$\bad$",
        "$x^",
        "$",
        r"\$x$",
        r"a\\$b$",
        "${",
        "=cmd()",
        "+1",
        "-2",
        "@x",
        "'=x",
        "''",
        "_x",
        "<script>alert(1)</script>",
    ),
    *('a,b"c', "very long " * 300, "שלום עולם", "\u202eabc", "a&b;c", "%s {x}", "\u200b"),
)
