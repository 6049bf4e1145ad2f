"""How many values a core takes medians of in a second, where orders of methods are resampled (statistics/agreement.py).

Prints the rate for measures of random values: `snakemake cost` goes by it.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.statistics.agreement import measure_agreement


def main(measures: int, images: int, methods: int, resamples: int) -> None:
    rng = np.random.default_rng(0)
    values, classes = rng.normal(size=(measures, images, methods)), np.arange(images) // 50
    start = time.process_time()
    measure_agreement(values, [True] * measures, classes, resamples, rng)
    seconds = time.process_time() - start
    print(f"{values.size * resamples / seconds:.2g} values a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measures", type=int, default=25)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--methods", type=int, default=40)
    parser.add_argument("--resamples", type=int, default=10)
    main(**vars(parser.parse_args()))
