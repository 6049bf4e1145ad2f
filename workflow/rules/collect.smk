"""The named targets: each figure alone. Everything together is `all`, in the Snakefile."""

FIGURES = ["fig1", "fig2", "fig4", "fig5", "fig6", "fig7"] + [f"figS{number}" for number in range(8, 17)]


for figure in FIGURES:

    rule:
        name:
            figure
        input:
            expand(f"results/{EXPERIMENT}/figures/{figure}.{{extension}}", extension=["pdf", "png"]),
