"""What claims are tested on: the statistics of one explained network, and the survey of the zoo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from explanations.statistics.tests import WILCOX
from explanations.statistics.verdicts import NotMeasuredError

TOP1, AGREEMENT = "top-1", "agreement"  # with labels; with the decisions of the network as it came, without


@dataclass(frozen=True)
class NetworkEvidence:
    """One explained network's statistics, as the statistics steps write them.

    `tables` has biases (activities against biases), biases_other (with the other upsampling), aggregates, variants
    (decayed against original), correlations, gross_sums and measure_claims, those of them that the run has; `accuracy`
    is that of each variant on the same `tested_images` images, empty if its biases did not decay; `score` says what it
    is, TOP1 or AGREEMENT. `layers` are all that have maps, ascending, without the input: tables may hold a part of
    them. `zeros` is what signed rank tests do with differences of 0, one of tests.ZEROS.
    """

    tables: Mapping[str, pd.DataFrame]
    accuracy: Mapping[str, float]
    tested_images: int
    layers: Sequence[int]
    score: str = TOP1
    zeros: str = WILCOX

    def table(self, name: str) -> pd.DataFrame:
        """A table; NotMeasuredError if the run has none."""
        if name not in self.tables:
            raise NotMeasuredError(f"table of {name.replace('_', ' ')}")
        return self.tables[name]


@dataclass(frozen=True)
class ZooEvidence:
    """The survey's tables, a network's rows below another's: accuracy, outputs, fits, robustness.

    `score` says what accuracies are, TOP1 or AGREEMENT; `zeros` as of a network's.
    """

    tables: Mapping[str, pd.DataFrame]
    score: str = TOP1
    zeros: str = WILCOX

    def of(self, *normalisations: str) -> "ZooEvidence":
        """The networks of some kinds of normalisation alone; NotMeasuredError if there is none of a kind."""
        for rows in self.tables.values():
            for kind in normalisations:
                if not (rows.normalisation == kind).any():
                    raise NotMeasuredError(f"networks of normalisation {kind}")
        chosen = {name: rows[rows.normalisation.isin(normalisations)] for name, rows in self.tables.items()}
        return replace(self, tables=chosen)

    def networks(self, normalisation: str) -> list[str]:
        """The networks of a kind of normalisation, in the tables' order."""
        accuracy = self.tables["accuracy"]
        return accuracy.network[accuracy.normalisation == normalisation].unique().tolist()


@dataclass(frozen=True)
class Evidence:
    """A run's statistics: of each explained network, in the configuration's order, of the zoo, and of all twins.

    `twins` has a pair's rows below another's; None if there are none.
    """

    networks: Mapping[str, NetworkEvidence]
    zoo: ZooEvidence
    twins: pd.DataFrame | None = None
