"""The paper's claims, in its order: what it says, its numbers, and how each is tested on a run's statistics.

Beside them stand the claims of measures themselves, which an experiment tests that compares measures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from explanations.statistics import claim_tests as tests
from explanations.statistics.evidence import NetworkEvidence, ZooEvidence
from explanations.statistics.measure_claims import STATEMENTS
from explanations.statistics.verdicts import Finding


@dataclass(frozen=True)
class Claim:
    """A claim that the paper makes of one or two networks, its numbers there, and how to test it on any network.

    Of no network, where it is what figures show and the paper doesn't speak of.
    """

    number: str
    networks: tuple[str, ...]
    statement: str
    paper: str
    test: Callable[[NetworkEvidence], Finding]


@dataclass(frozen=True)
class ZooClaim:
    """A claim of a group of networks as a whole, one of ZOO_GROUPS."""

    number: str
    group: str
    statement: str
    paper: str
    test: Callable[[ZooEvidence], Finding]  # is given the group alone


@dataclass(frozen=True)
class TwinClaim:
    """A claim of pairs of networks that differ in how they halve their maps alone, of all pairs as a whole."""

    number: str
    statement: str
    paper: str
    test: Callable[[pd.DataFrame], Finding]  # is given the rows of all pairs
    group: str = "twins"


KINDS = {"none": "without BN", "batch": "with BN"}  # of normalisation, in the paper's words
ZOO_GROUPS = {**{name: (kind,) for kind, name in KINDS.items()}, "zoo": tuple(KINDS)}
VGG, RESNET = ("vgg16",), ("resnet50",)
BOTH = (*VGG, *RESNET)

AnyClaim = Claim | ZooClaim | TwinClaim

# fmt: off
CLAIMS = (
    Claim("1", VGG, "Activity beats bias attributions in every layer (δe₋)",
          "p < 1e-5 (l = 3) to p < 1e-130 (last layer)", tests.activity_against_bias),
    Claim("2", VGG, "Input attributions are worse than plain gradients (δe₋)",
          "worse (fig. 5)", tests.input_against_gradient),
    Claim("3", VGG, "The top three layers' sum beats FullGrad (δe₋)",
          "supersedes (fig. 6)", tests.top_three_against_fullgrad),
    Claim("4a", VGG, "All layers are more discriminative than the top three (δe₋)",
          "p < 1e-5", tests.all_layers_against_top_three("delta_e_minus")),
    Claim("4b", VGG, "All layers are more comprehensive than the top three (e₋)",
          "p < 1e-10", tests.all_layers_against_top_three("e_minus")),
    Claim("5a", VGG, "Adding input attributions hurts δe₋",
          "hurts (fig. 6)", tests.adding_the_input("delta_e_minus")),
    Claim("5b", VGG, "Adding input attributions hurts e₋",
          "hurts (fig. 6)", tests.adding_the_input("e_minus")),
    Claim("6a", RESNET, "The layer below the top one has the most accurate single map (δe₋)",
          "most accurate (fig. 6)", tests.layer_below_top_is_best),
    Claim("6b", RESNET, "The top two layers are as discriminative as the lower of them alone (δe₋)",
          "similar (fig. 6)", tests.top_two_against_lower("delta_e_minus")),
    Claim("6c", RESNET, "The top two layers are more comprehensive than the lower of them alone (e₋)",
          "p < 1e-70", tests.top_two_against_lower("e_minus")),
    Claim("7", RESNET, "Averages that go down to the lower half of the layers are worse than the top two layers (δe₋)",
          "p < 0.001 for l₀ ≤ 9 of 17", tests.more_layers_hurt),
    ZooClaim("8a", "without BN", "Zeroing biases costs networks without batch normalisation under 1% of top-1",
             "under 1%, CaffeNet excepted", tests.zeroing_costs_little),
    ZooClaim("8b", "with BN", "Zeroing biases destroys networks with batch normalisation",
             "near chance (fig. 3)", tests.zeroing_destroys),
    ZooClaim("9a", "without BN", "Outputs before and after are highly correlated",
             "highly correlated (fig. S4)", tests.outputs_stay_correlated),
    ZooClaim("9b", "without BN", "f without biases is α f with α < 1",
             "always less than 1 (fig. S5)", tests.outputs_shrink),
    ZooClaim("9c", "without BN", "The offset β is negligible",
             "4 orders of magnitude below max f_c", tests.offset_is_negligible),
    Claim("10", BOTH, "Decay with fine-tuning restores the accuracy",
          "fully (VGG-16), > 99% (ResNet-50)", tests.decay_restores),
    Claim("11a", RESNET, "Without biases the gross sums of all layers equal the score",
          "identical (20.2, one image)", tests.gross_sums_equal),
    Claim("11b", RESNET, "With biases they don't, and many are negative",
          "differ from 18.3, many negative (one image)", tests.gross_sums_differ),
    Claim("12a", VGG, "Zeroing biases leaves activity maps alike",
          "ρ > 0.95 in all layers", tests.zeroing_keeps_maps),
    Claim("12b", RESNET, "Zeroing biases leaves only the top two layers' maps alike",
          "ρ ≈ 0.3 in the first layer", tests.zeroing_changes_maps),
    Claim("13a", RESNET, "Zero bias improves signed maps, but for the top two layers (δe₋)",
          "p < 1e-9 (l = 2) to p < 1e-100 (l = 9)", tests.zero_bias_signed),
    Claim("13b", RESNET, "Zero bias does not improve the unsigned maps of the top two layers (δe₋)",
          "median difference 0; in ResNet-50 they are the best maps", tests.zero_bias_unsigned),
    Claim("14a", BOTH, "δe₋ is about twice δe₊",
          "15% against 8% (VGG-16, all layers)", tests.minus_is_twice_plus),
    Claim("14b", BOTH, "δe₋ and δe₊ order the methods alike; e₋ and e₊ don't",
          "good agreement (figs S14, S15)", tests.orders_agree),
    Claim("15", BOTH, "e_Δ^ξ is neither zero nor flat over layers",
          "structured (fig. S16)", tests.noise_is_structured),
    Claim("16", VGG, "δe_Δ is more significant than δe₋",
          "by up to 30 orders of magnitude", tests.delta_is_more_significant),
    Claim("17", VGG, "The other upsampling halves δe₋",
          "2× smaller", tests.other_upsampling_halves),
    ZooClaim("18a", "zoo",
             "Networks without batch normalisation are the most robust to scaling the input (× 10)",
             "most robust (fig. S1)", tests.robust_without_batch_norm("scale", 10)),
    ZooClaim("18b", "zoo",
             "Networks without batch normalisation are the most robust to shifting the input (a full range)",
             "most robust (fig. S2)", tests.robust_without_batch_norm("shift", 1)),
    TwinClaim("19a", "Strides without pooling leave artefacts in the layers before them (dips of e₋^ξ)",
              "suspected: minima in ResNet-50, none in VGG-16 (fig. S16)", tests.strides_against_poolings("dip", -1)),
    TwinClaim("19b", "With poolings, averaging over all layers gains more over the top two (δe₋)",
              "suspected (discussion, § F.2)", tests.strides_against_poolings("gain", +1)),
    Claim("20", (), "The average of all layers beats every single layer (δe₋)",
          "not asked (seen in fig. 6)", tests.all_layers_against_single),
    Claim("21", (), "Every layer's maps are better than another image's (δe₋ > 0)",
          "not asked (seen in fig. 6)", tests.layers_against_noise),
)
# fmt: on
PAPER_OF_MEASURES = {"L2": "good agreement of δe₋ and δe₊ (fig. S14)", "L4": "not asked (smooth maps: fig. S16)"}
MEASURE_CLAIMS = tuple(
    Claim(number, (), statement, PAPER_OF_MEASURES.get(number, "not asked"), tests.measures_compared(number))
    for number, statement in STATEMENTS.items()
)
