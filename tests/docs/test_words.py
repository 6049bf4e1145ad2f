"""Facts in words."""

import pytest

import words
from words import find_extent, list_figures, list_layers, list_names, list_trials, mirror, rank, tally

NETWORKS = {
    "vgg16": {"normalisation": "none", "lost": 0.015},
    "alexnet": {"normalisation": "none", "lost": 0.002},
    "vit": {"normalisation": "layer", "lost": None},
    "resnet50": {"normalisation": "batch", "lost": 0.86},
}
ROWS = [  # a, b, median difference, effect size, log10 p
    ["activity_1", "bias_1", 0.1, 0.5, -3.0],
    ["activity_2", "bias_2", -0.1, -0.5, -1.4],
    ["activity_3", "bias_3", 0.1, 0.5, -1.2],
    ["activity_4", "bias_4", 0.1, 0.5, -9.4],
    ["input", "gradient", -0.1, -0.2, -20.0],
]


def test_tallies():
    """α is 0.05, log10 p = −1.301."""
    assert tally(ROWS) == (["activity_1", "activity_4"], ["activity_2", "input"], 5, -9.4)
    assert tally(ROWS, without=("input",)) == (["activity_1", "activity_4"], ["activity_2"], 4, -9.4)
    assert tally(ROWS, against="bias_3") == ([], [], 1, None)
    assert tally(mirror(ROWS), without=("gradient",)) == (["bias_2"], ["bias_1", "bias_4"], 4, -1.4)
    assert words.find_row(ROWS, "activity_3", "bias_3")[2] == 0.1


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        ([], "none"),
        (["activity_3"], "layer 3"),
        (["activity_10", "activity_9"], "layers 9 and 10"),
        (["signed_activity_1", "signed_activity_0"], "the input and layer 1"),
        (["input", "activity_4", "bias_2", "activity_from_12"], "the input and layers 2, 4 and 12"),
        (["input"], "the input"),
    ],
)
def test_layers(methods, text):
    assert list_layers(methods) == text


def test_names():
    assert list_names(["A"]) == "A" and list_names(["A", "B", "C"]) == "A, B and C" and list_names([]) == "none"
    assert words.name_group(NETWORKS, "none") == "VGG-16 and AlexNet"
    assert words.name_network("mine") == "mine"
    layers = [str(layer) for layer in range(18)]
    names = {"activity_3": "layer 3", "activity_from_1": "all layers", "activity_from_16": "the top two layers"}
    names |= {"fullgrad_feature": "fullgrad feature", "gradient": "gradient", "activity_from_3": "the top 15 layers"}
    assert {method: words.name_method(method, layers) for method in names} == names
    of_few = {"activity_from_9": "the top two layers", "activity_from_2": "all layers"}  # others have no map
    assert {method: words.name_method(method, ["0", "2", "9", "24"]) for method in of_few} == of_few


def test_extents():
    assert find_extent(NETWORKS, "lost") == (0.002, 0.86, "AlexNet", "ResNet-50", 3)
    assert find_extent(NETWORKS, "lost", "none") == (0.002, 0.015, "AlexNet", "VGG-16", 2)
    assert words.choose_networks(NETWORKS, "lost", -1, 0.01, "none") == ["AlexNet"]
    assert words.choose_networks(NETWORKS, "lost", -1, 1, "layer") == []


def test_ranks():
    methods = {"activity_1": 0.1, "activity_from_1": 0.5, "activity_2": 0.3, "signed_activity_2": 0.9}
    assert rank(methods, r"activity_\d+") == ["activity_2", "activity_1"]
    assert rank(methods, "(?!signed).*") == ["activity_from_1", "activity_2", "activity_1"]


def test_figures_are_listed_as_the_paper_has_them():
    targets = ["all", "figM", "figS10", "figS2", "fig2", "figures", "vgg16", "fig1", "report"]
    assert list_figures(targets) == ["fig1", "fig2", "figS2", "figS10", "figM"]


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        *[(words.write_points, 0.0149, "1.5"), (words.write_points, 0.864, "86"), (words.write_points, 0.0999, "10")],
        *[(words.write_duration, 89.4, "89 s"), (words.write_duration, 100, "2 min")],
        *[(words.write_count, 3, "three"), (words.write_count, 1234, "1,234"), (words.write_count, 0, "none")],
        *[(words.write_percent, 0.969, "97%")],
    ],
)
def test_numbers(write, value, text):
    assert write(value) == text


def test_verdicts():
    findings = [{"claim": str(k), "verdict": verdict} for k, verdict in enumerate(["supported"] * 2 + ["undecided"])]
    assert words.count_verdicts(findings) == {"supported": 2, "undecided": 1, "not supported": 0}


FINDINGS = [
    {"claim": claim, "paper_network": papers, "network": network, "ours": f"{network}'s", "verdict": verdict}
    for claim, papers, network, verdict in (
        ("1", "VGG-16", "VGG-16", "supported"),  # tested on no other
        ("3", "VGG-16", "VGG-16", "not supported"),
        ("3", "VGG-16", "ResNet-50", "undecided"),
        ("3", "VGG-16", "ViT", "supported"),
        ("8a", "without BN", "without BN", "supported"),
        ("14a", "VGG-16, ResNet-50", "VGG-16", "supported"),
        ("14a", "VGG-16, ResNet-50", "ResNet-50", "supported"),
        ("14a", "VGG-16, ResNet-50", "lite0", "not supported"),
    )
]


def test_findings_on_the_papers_networks_and_on_others():
    own, others = words.papers_findings(FINDINGS), words.other_findings(FINDINGS)
    assert [finding["network"] for finding in others] == ["ResNet-50", "ViT", "lite0"]
    assert len(own) + len(others) == len(FINDINGS)
    assert words.quote_claim(FINDINGS, "3") == "VGG-16's"
    assert words.quote_claim(FINDINGS, "14a") == "VGG-16: VGG-16's; ResNet-50: ResNet-50's"


def test_claims_by_network():
    networks, rows = words.cross_networks(FINDINGS)
    assert networks == ["VGG-16", "ResNet-50", "ViT", "lite0"]
    assert [(finding["claim"], marks) for finding, marks in rows] == [
        ("3", ["**−**", "?", "+", ""]),
        ("14a", ["**+**", "**+**", "", "−"]),
    ]
    assert words.cross_networks(FINDINGS[:1]) == ([], [])


def test_trials_are_listed_by_their_numbers():
    decays = {"decayed": {}, "steps-40": {"end": 1}, "steps-5": {}, "temperature-1000": {}, "temperature-50": {}}
    assert [name for name, _ in list_trials(decays)] == ["5 steps", "40 steps", "T = 50", "T = 1000"]


def test_shares_and_numbers_close_to_zero():
    assert [words.write_percent(share) for share in (0, 0.004, 0.006, 1, -0.001)] == ["0%", "<1%", "1%", "100%", "0%"]
    assert words.write_percent(0.0004, 1) == "<0.1%" and words.write_percent(0.0006, 1) == "0.1%"
    assert [words.write_number(value) for value in (-0.001, 0.0, -0.01, 1.234)] == ["0.00", "0.00", "-0.01", "1.23"]


SEEDS = [
    {"seed": seed, "claim": "1", "network": "VGG-16", "verdict": verdict, "estimate": estimate}
    for seed, verdict, estimate in (("1", "supported", "0.1"), ("2", "undecided", ""), ("3", "supported", "-0.25"))
]
FOUND = {"claim": "1", "network": "VGG-16", "verdict": "supported", "quantity": "|β|", "estimate": 0.125}


def test_verdicts_over_seeds():
    assert words.spread_over_seeds(FOUND, SEEDS[::2]) == r"3 of 3; \|β\| -0.25 to 0.12"
    assert words.spread_over_seeds(FOUND, SEEDS).startswith("3 of 4; ")
    assert words.spread_over_seeds(FOUND | {"network": "ViT"}, SEEDS) == ""
    assert words.spread_over_seeds(FOUND | {"claim": "2"}, SEEDS) == ""


def test_seeds_agree_or_oppose_each_other():
    """Of what other seeds have; what this run alone has isn't counted."""
    other = FOUND | {"network": "ViT"}
    assert words.count_held([FOUND, other], SEEDS[::2]) == {"asked": 1, "agreed": 1, "opposed": 0}
    assert words.count_held([FOUND, other], SEEDS) == {"asked": 1, "agreed": 0, "opposed": 0}
    assert words.count_held([other], SEEDS) == {"asked": 0, "agreed": 0, "opposed": 0}
    assert words.spread_over_seeds(FOUND | {"estimate": 0.0}, SEEDS[:1]).endswith(" 0 to 0.1")
    assert words.spread_over_seeds(FOUND | {"estimate": None}, SEEDS[1:2]) == "1 of 2"
    refuted = FOUND | {"verdict": "not supported"}
    assert words.count_held([refuted], SEEDS) == {"asked": 1, "agreed": 0, "opposed": 1}


def test_leaderboards():
    rows = [
        {"title": "All layers", "source": "decomposition", "ties": ["1", "2"]},
        {"title": "LIME", "source": "captum", "ties": ["2"]},
        {"title": "Gradient", "source": "decomposition", "ties": ["3"]},
        {"title": "Layer 3", "source": "decomposition", "ties": ["1", "3"]},
        {"title": "Random", "source": "controls", "ties": []},
    ]
    assert words.count_alike(rows) == 2
    assert words.list_ranks(rows) == [(2, "LIME"), (3, "Gradient"), (5, "Random")]


@pytest.mark.parametrize(
    ("reasons", "text"),
    [
        ([], ""),
        (["", ""], "all 2"),
        (["", "no", ""], "all but n1"),
        (["no", "", "no"], "n1"),
        (["no", "no"], "none"),
    ],
)
def test_which_networks_a_method_explains(reasons, text):
    tried = [{"network": f"n{number}", "reason": reason} for number, reason in enumerate(reasons)]
    assert words.describe_networks(tried) == text


def test_all_methods_are_listed():
    tried = [{"source": "rise", "method": "", "network": name, "reason": why} for name, why in (("a", ""), ("b", "no"))]
    rows = {row["name"]: row for row in words.list_own_methods(tried)}
    occlusion = {"name": "Occlusion", "source": "`captum`", "settings": "window: 8, stride: 4", "needs": ""}
    assert rows["Occlusion"] == occlusion | {"explains": "", "passes": "3,026"}
    assert rows["your function"]["settings"] == "path" and rows["your function"]["passes"] == "its own"
    assert rows["RISE"]["passes"] == "500" and rows["RISE"]["explains"] == "a"
    groups = words.group_methods(words.list_own_methods([]))
    assert groups[1] == {"source": "`captum`", "needs": "ReLU modules", "explains": ""} | {
        "methods": "GuidedBackprop (3), Deconvolution (3)"
    }
    assert rows["RefineCAM"]["passes"] == "3 a size of maps" and rows["ScoreCAM"]["passes"] == "1 a channel"
    assert ("bias", "Bias of layer l") in words.list_papers_methods()


def test_methods_beside_their_libraries():
    timed = [
        {"source": "captum", "method": "LRP", "network": "vgg16", "library": "0.01234", "ratio": "0.98"},
        {"source": "captum", "method": "Lime", "network": "vgg16", "library": "1.5", "ratio": "1.00"},
        {"source": "captum", "method": "Lime", "network": "resnet50", "library": "2", "ratio": "1.01"},
    ]
    assert words.compare_with_libraries(timed) == [
        ("method", "source", "VGG-16, ms alone", "ours", "ResNet-50, ms alone", "ours"),
        ("LRP", "`captum`", "12.3", "0.98", "", ""),
        ("Lime", "`captum`", "1,500.0", "1.00", "2,000.0", "1.01"),
    ]
