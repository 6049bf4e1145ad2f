"""The paper's claims, in its order: what it says, its numbers, and how each is tested on a run's statistics."""

from collections.abc import Callable
from dataclasses import dataclass

from explanations import claim_tests as tests
from explanations.claim_tests import Evidence
from explanations.verdicts import Finding


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, its numbers there, and how to test it."""

    number: str
    network: str
    statement: str
    paper: str
    test: Callable[[Evidence], Finding]


# fmt: off
CLAIMS = (
    Claim("1", "VGG-16", "Activity beats bias attributions in every layer (δe₋)",
          "p < 1e-5 (l = 3) to p < 1e-130 (last layer)", tests.activity_against_bias),
    Claim("2", "VGG-16", "Input attributions are worse than plain gradients (δe₋)",
          "worse (fig. 5)", tests.input_against_gradient),
    Claim("3", "VGG-16", "The top three layers' sum beats FullGrad (δe₋)",
          "supersedes (fig. 6)", tests.top_three_against_fullgrad),
    Claim("4a", "VGG-16", "All layers are more discriminative than the top three (δe₋)",
          "p < 1e-5", tests.all_layers_against_top_three("delta_e_minus")),
    Claim("4b", "VGG-16", "All layers are more comprehensive than the top three (e₋)",
          "p < 1e-10", tests.all_layers_against_top_three("e_minus")),
    Claim("5a", "VGG-16", "Adding input attributions hurts δe₋",
          "hurts (fig. 6)", tests.adding_the_input("delta_e_minus")),
    Claim("5b", "VGG-16", "Adding input attributions hurts e₋",
          "hurts (fig. 6)", tests.adding_the_input("e_minus")),
    Claim("6a", "ResNet-50", "The penultimate layer has the most accurate single map (δe₋)",
          "most accurate (fig. 6)", tests.penultimate_is_best),
    Claim("6b", "ResNet-50", "The top two layers are as discriminative as the penultimate (δe₋)",
          "similar (fig. 6)", tests.top_two_against_penultimate("delta_e_minus")),
    Claim("6c", "ResNet-50", "The top two layers are more comprehensive than the penultimate (e₋)",
          "p < 1e-70", tests.top_two_against_penultimate("e_minus")),
    Claim("7", "ResNet-50", "Layers below the top two hurt (δe₋, l₀ ≤ 9)",
          "p < 0.001 for l ≤ 9", tests.more_layers_hurt),
    Claim("8a", "without BN", "Zeroing biases costs networks without batch normalisation under 1% of top-1",
          "under 1%, CaffeNet excepted", tests.zeroing_costs_little),
    Claim("8b", "with BN", "Zeroing biases destroys networks with batch normalisation",
          "near chance (fig. 3)", tests.zeroing_destroys),
    Claim("9a", "without BN", "Outputs before and after are highly correlated",
          "highly correlated (fig. S4)", tests.outputs_stay_correlated),
    Claim("9b", "without BN", "f without biases is α f with α < 1",
          "always less than 1 (fig. S5)", tests.outputs_shrink),
    Claim("9c", "without BN", "The offset β is negligible",
          "4 orders of magnitude below max f_c", tests.offset_is_negligible),
    Claim("10a", "VGG-16", "Decay with fine-tuning restores the accuracy",
          "fully", tests.decay_restores("vgg16")),
    Claim("10b", "ResNet-50", "Decay with fine-tuning restores the accuracy",
          "> 99%", tests.decay_restores("resnet50")),
    Claim("11a", "ResNet-50", "Without biases the gross sums of all layers equal the score",
          "identical (20.2, one image)", tests.gross_sums_equal),
    Claim("11b", "ResNet-50", "With biases they don't, and many are negative",
          "differ from 18.3, many negative (one image)", tests.gross_sums_differ),
    Claim("12a", "VGG-16", "Zeroing biases leaves activity maps alike",
          "ρ > 0.95 in all layers", tests.zeroing_keeps_maps),
    Claim("12b", "ResNet-50", "Zeroing biases leaves only the top two layers' maps alike",
          "ρ ≈ 0.3 in the first layer", tests.zeroing_changes_maps),
    Claim("13a", "ResNet-50", "Zero bias improves signed maps, but for the top two layers (δe₋)",
          "p < 1e-9 (l = 2) to p < 1e-100 (l = 9)", tests.zero_bias_signed),
    Claim("13b", "ResNet-50", "Zero bias does not improve the best unsigned maps (top two layers, δe₋)",
          "median difference 0", tests.zero_bias_unsigned),
    Claim("14a", "both", "δe₋ is about twice δe₊",
          "15% against 8% (VGG-16, all layers)", tests.minus_is_twice_plus),
    Claim("14b", "both", "δe₋ and δe₊ order the methods alike; e₋ and e₊ don't",
          "good agreement (figs S14, S15)", tests.orders_agree),
    Claim("15", "both", "e_Δ^ξ is neither zero nor flat over layers",
          "structured (fig. S16)", tests.noise_is_structured),
    Claim("16", "VGG-16", "δe_Δ is more significant than δe₋",
          "by up to 30 orders of magnitude", tests.delta_is_more_significant),
    Claim("17", "VGG-16", "The other upsampling halves δe₋",
          "2× smaller", tests.other_upsampling_halves),
    Claim("18a", "zoo", "Networks without batch normalisation are the most robust to scaling the input (× 10)",
          "most robust (fig. S1)", tests.robust_without_batch_norm("scale", 10)),
    Claim("18b", "zoo", "Networks without batch normalisation are the most robust to shifting the input (a full range)",
          "most robust (fig. S2)", tests.robust_without_batch_norm("shift", 1)),
)
# fmt: on
