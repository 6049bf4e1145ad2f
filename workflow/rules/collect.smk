"""The named targets: each figure alone. Everything together is `all`, in the Snakefile."""

FIGURES = [f"fig{number}" for number in range(1, 8)] + [f"figS{number}" for number in range(1, 17)]
FIGURES += ["figM"] if OTHERS else []


for figure in FIGURES:

    rule:
        name:
            figure
        input:
            expand(f"results/{EXPERIMENT}/figures/{figure}.{{extension}}", extension=["pdf", "png"]),
