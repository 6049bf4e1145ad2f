"""What a configuration asks for: networks, in which variants, by which methods; what figures show."""

import copy
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import refused
from workflow_copy import ROOT

from explanations.figures.catalogue import (
    CHOOSABLE,
    FIGURES,
    can_be_made,
    choose_networks,
    figure_title,
    say_what_lacks,
)
from explanations.plan import GROUPS, VARIANTS, Plan, Run, check_plan, leave_out_networks, methods_of

EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text())
PAPERS = ("vgg16", "resnet50")
DECAY = EMBEDDED["networks"]["vgg16"]["decay"]


def configuration(**networks: dict) -> dict:
    """The embedded configuration with other networks, the paper's methods, and no choice of what figures show."""
    figures = {**EMBEDDED["figures"], "networks": {}, "no_fullgrad": [], "fig7": {"images": [0], "methods": {}}}
    return {**copy.deepcopy(EMBEDDED), "networks": networks, "figures": figures, "twins": [], "methods": {}}


def test_the_papers_measurement():
    plan, own = Plan(EMBEDDED), tuple(EMBEDDED["methods"])
    assert list(plan.runs("vgg16")) == [
        Run("vgg16", "original", "bilinear", ("layers", "biases", "aggregates", *own), compares_orders=True),
        Run("vgg16", "original", "nearest", ("layers", "biases")),
    ]
    assert list(plan.runs("resnet50")) == [
        Run("resnet50", "original", "bilinear", ("layers", "aggregates", "signed", *own), compares_orders=True),
        Run("resnet50", "decayed", "bilinear", ("layers", "signed")),
    ]
    wanted = Run("vit", "original", "bilinear", ("layers", "aggregates"))
    assert list(plan.runs("vit")) == [wanted]
    assert not list(plan.runs("alexnet")) and not plan.variants("alexnet") and not plan.tables("alexnet")
    assert plan.explained == [
        *PAPERS,
        "vgg16_strides",
        "resnet50_poolings",
        "efficientnet",
        "convnext",
        "vit",
    ]
    assert plan.comparisons("resnet50") == ["aggregates-original-bilinear", "decayed-bilinear"]


def test_curves_are_of_maps_that_are_removed_in_both_orders():
    """By the original's usual maps; not of signed ones, and of no network with `orders: [minus]`; none by default."""
    config = copy.deepcopy(EMBEDDED)
    assert not any(Plan(config).curve_methods(name) for name in config["networks"])
    config["removal"]["curves"] = True
    plan = Plan(config)
    assert [name for name in config["networks"] if plan.curve_methods(name)] == list(PAPERS)
    wanted = [*GROUPS["layers"], *GROUPS["aggregates"], *EMBEDDED["methods"]]
    assert list(map(str, plan.curve_methods("resnet50"))) == wanted
    assert plan.curves_run("resnet50").folder == "original-bilinear" and plan.curves_run("vit") is None
    assert "curves" in plan.tables("vgg16") and "curves" not in plan.tables("vit")


def test_removal_is_read_off_curves_whose_decisions_are_float32s():
    config = copy.deepcopy(EMBEDDED)
    assert not any(map(Plan(config).reads_flips, config["networks"]))
    config["removal"] |= {"curves": True, "operators": ["fill", "mean"]}
    plan = Plan(config)
    assert list(filter(plan.reads_flips, config["networks"])) == list(PAPERS)
    for run in plan.all_runs():
        kept = (
            {kind for kind in run.methods if kind.signed} if run == plan.curves_run(run.network) else set(run.methods)
        )
        assert set(plan.scanned_methods(run)) == kept
    for changed in ({"precision": "bfloat16"}, {"grid_plus": [0.5, 1]}):
        plan = Plan({**config, "removal": config["removal"] | changed})
        assert plan.curves_run("vgg16") and not plan.reads_flips("vgg16")
        assert all(plan.scanned_methods(run) == run.methods for run in plan.all_runs())


def test_single_patches_are_of_all_networks_that_are_explained():
    """Whatever the orders of removal; none by default."""
    config = copy.deepcopy(EMBEDDED)
    plan = Plan(config)
    assert not any(map(plan.measures_patches, config["networks"])) and not plan.compares_measures("vit")
    del config["removal"]["patches"]
    assert not Plan(config).patches
    config["removal"]["patches"] = 4
    plan = Plan(config)
    assert [name for name in config["networks"] if plan.measures_patches(name)] == plan.explained
    assert "patches" in plan.tables("vit") and "patches" not in plan.tables("alexnet")
    assert plan.compares_measures("vit") and not plan.compares_measures("alexnet")


def test_grids_are_of_the_methods_that_are_asked_for():
    """None by default; then all but signed maps, which are rescaled; or those named, of a network's own groups."""
    config = configuration(a={"explain": ["layers", "signed", "mine", "smooth"]}, b={"explain": ["layers"]}, c={})
    config["methods"] = {**OWN, "smooth": {"source": "blurred", "of": "mine"}}
    assert not any(Plan(config).grid_groups(name) for name in "abc") and Plan(config).grids == 0
    config["grid_pointing"] = {"grids": 3}
    plan = Plan(config)
    assert [plan.grid_groups(name) for name in "abc"] == [("layers", "mine", "smooth"), ("layers",), ()]
    assert plan.grids == 3 and "grid_pointing" in plan.tables("a") and "grid_pointing" not in plan.tables("c")
    config["grid_pointing"]["methods"] = ["mine", "aggregates"]
    plan = Plan(config)
    assert [plan.grid_groups(name) for name in "abc"] == [("mine",), (), ()] and "grid_pointing" not in plan.tables("b")
    check_plan(config)
    config["grid_pointing"]["grids"] = 0
    assert not Plan(config).grid_groups("a")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("signed", ""), ("theirs", ""), ("smooth", ", and its maps are made of another method's")],
)
def test_methods_without_maps_of_grids_do_not_play(name, reason):
    config = configuration(a={"explain": ["layers", "mine"]})
    config["methods"] = {**OWN, "smooth": {"source": "blurred", "of": "mine"}}
    config["grid_pointing"] = {"grids": 0, "methods": ["layers", name]}
    allowed = "layers, biases, aggregates, ig, mine"
    assert refused(check_plan, config) == f"grid_pointing.methods.1 is {name}{reason}; allowed are {allowed}"


def test_the_most_salient_first_is_measured_where_it_is_shown_alone():
    """Figures S13 to S16 show it, of unsigned maps with the usual upsampling; S9 to S12 show e₋ alone."""
    plan = Plan(EMBEDDED)
    for run in plan.all_runs():
        for kind in run.methods:
            usual = (run.variant, run.upsampling) == ("original", "bilinear")
            both = usual and not str(kind).startswith("signed") and run.network in PAPERS
            assert run.orders(kind) == (("minus", "plus") if both else ("minus",)), (run, kind)


def test_further_operators_remove_by_the_usual_maps():
    config = copy.deepcopy(EMBEDDED)
    config["removal"]["operators"] = ["black", "fill", "road"]
    plan, one = Plan(config), Plan(EMBEDDED)
    assert (plan.operator, plan.operators, one.operator, one.operators) == ("black", ["fill", "road"], "fill", [])
    for network in ("vgg16", "resnet50", "vit"):
        runs = list(plan.runs(network))
        assert runs[:-2] == list(one.runs(network))  # whatever the first is
        usual = runs[0]
        for run, name in zip(runs[-2:], ("fill", "road"), strict=True):
            assert run == Run(network, "original", "bilinear", usual.groups, usual.compares_orders, name)
            assert run.folder == f"original-bilinear-{name}"
            assert plan.find_run(network, "original", "bilinear", name) == run
        assert plan.find_run(network, "original", "bilinear") == usual
        assert plan.leaderboards(network) == ["leaderboard", "leaderboard-fill", "leaderboard-road"]
        assert plan.comparisons(network) == one.comparisons(network)
        further = ("agreement", "blurring", "measure_claims", *plan.operator_tables(network))
        assert set(plan.tables(network)) == {*one.tables(network), *further} and "operators_claims" in further
    assert one.leaderboards("vit") == ["leaderboard"] and not plan.leaderboards("alexnet")


@pytest.mark.parametrize(
    ("network", "groups", "variants"),
    [
        ({}, (), ()),
        ({"explain": False}, (), ()),
        ({"explain": True}, ("layers", "biases", "aggregates"), ("original",)),
        (
            {"explain": True, "variants": ["zeroed", "original"]},
            ("layers", "biases", "aggregates"),
            ("original", "zeroed"),
        ),
        ({"explain": True, "decay": DECAY}, tuple(GROUPS), ("original", "zeroed", "decayed")),
        (
            {"explain": True, "decay": DECAY, "variants": ["original"]},
            ("layers", "biases", "aggregates"),
            ("original",),
        ),
        ({"explain": ["biases", "layers"]}, ("layers", "biases"), ("original",)),
        ({"decay": DECAY}, (), ()),
    ],
)
def test_groups_and_variants(network, groups, variants):
    plan = Plan(configuration(mine=network))
    assert plan.groups("mine") == groups
    assert plan.variants("mine") == variants


def test_a_group_is_measured_once_where_both_upsamplings_are_the_same():
    config = configuration(mine={"explain": True})
    config["saliency"] = {"upsampling": "nearest", "other_upsampling": "nearest"}
    assert [run.folder for run in Plan(config).runs("mine")] == ["original-nearest"]
    assert choose_networks(Plan(config), config["figures"])["figS12"] == []


def test_methods_stand_in_the_order_of_groups():
    assert [str(kind) for kind in methods_of("layers", "biases")] == ["gradient", "input", "activity", "bias"]


def test_a_method_of_no_group_is_one_by_itself(tmp_path):
    """One file and one line: a network's explain names it, and it is measured."""
    scripts = tmp_path / "scripts"
    shutil.copytree(ROOT / "scripts/explanations", scripts / "explanations")
    registry = scripts / "explanations/methods/registry.py"
    registry.write_text(registry.read_text().replace("METHODS = {", 'METHODS = {\n    "mine_2": Entry("Mine"),'))
    code = """
from explanations.plan import GROUPS, Plan
networks = {"a": {"explain": ["layers", "mine_2"]}}
config = {"networks": networks, "images": {"source": "digits"}, "removal": {}}
(run,) = Plan(config | {"saliency": {"upsampling": "nearest", "other_upsampling": "nearest"}}).runs("a")
assert list(map(str, run.methods)) == ["gradient", "input", "activity", "mine_2"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=scripts)


def test_a_group_that_there_is_not():
    message = refused(check_plan, configuration(mine={"explain": ["layers", "bias"]}))
    assert message == "networks.mine.explain.1 is bias; allowed are layers, biases, aggregates, signed"


def test_a_variant_that_a_network_has_not():
    message = refused(check_plan, configuration(mine={"explain": True, "variants": ["original", "decayed"]}))
    assert message == "networks.mine.variants names decayed; networks.mine.decay is missing"


# --- figures -----------------------------------------------------------------------------------------------------


def test_the_papers_figures_show_its_networks():
    shown = choose_networks(Plan(EMBEDDED), EMBEDDED["figures"])
    assert [figure for figure in FIGURES if not can_be_made(figure, shown)] == [
        "figL",
        "figP",
    ]  # nobody asks for it there
    vgg16, resnet50 = ("fig2", "fig5", "figS12", "figS13"), ("fig4", "figS7", "figS9", "figS10", "figS11")
    assert all(shown[figure] == ["vgg16"] for figure in vgg16)
    assert all(shown[figure] == ["resnet50"] for figure in resnet50)
    assert all(
        shown[f] == ["vgg16", "resnet50"] for f in ("fig6", "fig7", "figS6", "figS8", "figS14", "figS15", "figS16")
    )
    assert shown["figM"] == ["efficientnet", "convnext", "vit"]
    assert shown["fig3"] == list(EMBEDDED["networks"])
    assert figure_title("fig5", shown["fig5"]) == "VGG-16: activities against biases, δe₋"


def test_any_network_has_the_figures_that_it_has_variants_for():
    config = configuration(mine={"explain": True}, other={})
    shown = choose_networks(Plan(config), config["figures"])
    made = {figure for figure in FIGURES if can_be_made(figure, shown)}
    assert FIGURES.keys() - made == {
        *("fig4", "fig7", "figS6", "figS7", "figS8", "figS9", "figS10", "figS11", "figT", "figM", "figL", "figP")
    }
    config = configuration(mine={"explain": True, "decay": DECAY, "decay_trials": {"steps": [5], "temperature": []}})
    config["figures"]["fig7"]["methods"] = {"mine": ["input"]}
    config["figures"]["figP"] = {"images": [0], "methods": {"mine": ["activity_1"]}}
    shown = choose_networks(Plan(config), config["figures"])
    # figure 6 shows all, and removal has one operator
    assert {figure for figure in FIGURES if not can_be_made(figure, shown)} == {"figT", "figM", "figL"}


def test_a_figure_that_can_not_be_made_says_what_it_lacks():
    settings = {"networks": {"fig5": []}}
    assert say_what_lacks("fig5", settings) == "fig5 can't be made: figures.networks.fig5 names no network"
    assert say_what_lacks("fig7", {}) == "fig7 can't be made: figures.fig7.methods names no network"
    assert say_what_lacks("figP", {}) == "figP can't be made: figures.figP.methods names no network"
    assert say_what_lacks("figM", {}).endswith("which fig6 and figT don't show, and the configuration has none")
    assert say_what_lacks("figS7", {}).endswith(
        "a network with trials of decay (decay_trials), and the configuration has none"
    )


def test_a_network_of_one_order_is_in_no_figure_of_the_other():
    config = configuration(mine={"explain": True, "orders": ["minus"]}, other={"explain": True})
    shown = choose_networks(Plan(config), config["figures"])
    assert shown["fig6"] == ["mine", "other"] and shown["figS13"] == []  # which shows the network of figure 5
    assert shown["figS14"] == shown["figS15"] == shown["figS16"] == ["other"]
    config["figures"]["networks"] = {"figS16": ["mine"]}
    assert refused(choose_networks, Plan(config), config["figures"]) == (
        "figures.networks.figS16: mine can't be shown; allowed is a network explained by layers and aggregates, pixels "
        "removed in both orders (networks.<name>.orders)"
    )


def test_twins_are_shown_in_pairs_and_nowhere_else_unless_asked():
    twins = {"explain": ["layers", "aggregates"]}
    config = configuration(a=twins, b=twins, c=twins, d=twins, e=twins)
    config["twins"] = [{"poolings": "d", "strides": "a"}, {"poolings": "b", "strides": "c"}]
    config["figures"]["networks"] = {"fig6": ["a"]}
    check_plan(config)
    shown = choose_networks(Plan(config), config["figures"])
    assert shown["figT"] == ["d", "a", "b", "c"] and shown["figM"] == ["e"]
    config["networks"]["c"] = {"explain": ["layers"]}
    check_plan(config)
    assert choose_networks(Plan(config), config["figures"])["figT"] == ["d", "a"]


@pytest.mark.parametrize(
    ("twins", "message"),
    [
        ([{"poolings": "a", "strides": "x"}], "twins.0.strides is x; allowed are a, b, c"),
        ([{"poolings": "a", "strides": "a"}], "twins.0.strides is a, which is named before; all must differ"),
        (
            [{"poolings": "a", "strides": "b"}, {"poolings": "b", "strides": "c"}],
            "twins.1.poolings is b, which is named before; all must differ",
        ),
    ],
)
def test_twins_that_are_none(twins, message):
    networks = {name: {"explain": ["layers", "aggregates"]} for name in "abc"}
    assert refused(check_plan, {**configuration(**networks), "twins": twins}) == message


def test_the_schema_knows_the_variants():
    network = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["$defs"]["network"][
        "properties"
    ]
    assert network["variants"]["items"]["enum"] == list(VARIANTS)


def test_methods_under_their_maps_are_measured():
    """Figure 7 shows maps that nothing is removed by; figure P writes their measurement below them."""
    config = configuration(mine={"explain": ["layers"]}, other={"explain": ["aggregates"]})
    for methods in (["activity_7", "input"], ["gradient"]):
        config["figures"]["figP"] = {"images": [0], "methods": {"mine": methods, "other": []}}
        assert choose_networks(Plan(config), config["figures"])["figP"] == ["mine"]
    config["figures"]["fig7"]["methods"] = {"mine": ["gradcam"]}
    assert choose_networks(Plan(config), config["figures"])["fig7"] == ["mine"]
    config["figures"]["figP"]["methods"] = {"mine": ["input", "gradcam"]}
    assert refused(choose_networks, Plan(config), config["figures"]) == (
        "figures.figP.methods.mine.1 is gradcam, by which no pixels are removed; "
        "allowed are maps of gradient, input, activity"
    )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"fig9": ["mine"]}, f"figures.networks.fig9: allowed are {', '.join(CHOOSABLE)}"),
        ({"fig7": ["mine"]}, f"figures.networks.fig7: allowed are {', '.join(CHOOSABLE)}"),
        ({"figT": ["mine"]}, f"figures.networks.figT: allowed are {', '.join(CHOOSABLE)}; figT shows those of twins"),
        ({"fig6": ["none"]}, "figures.networks.fig6: none is no network; there are mine, other"),
        ({"fig6": ["other"]}, "figures.networks.fig6: other can't be shown; allowed is a network explained by "),
        (
            {"fig4": ["mine"]},
            "figures.networks.fig4: mine can't be shown; allowed is a network explained as its biases ",
        ),
        ({"fig2": ["mine", "mine"]}, "figures.networks.fig2 is mine, mine; allowed is one network"),
    ],
)
def test_a_choice_that_can_not_be_shown(choice, message):
    config = configuration(mine={"explain": True}, other={})
    assert refused(choose_networks, Plan(config), {**config["figures"], "networks": choice}).startswith(message)


def test_networks_that_a_run_leaves_out_are_named_nowhere():
    config = configuration(a=True, b=True, c=True)
    config["twins"] = [{"poolings": "a", "strides": "b"}]
    config["figures"] |= {"networks": {"fig5": ["a", "c"], "fig6": ["c"]}, "no_fullgrad": ["b", "c"]}
    config["figures"]["fig7"] = {"images": [0], "methods": {"a": ["input"], "c": ["gradient"]}}
    asked = copy.deepcopy(config)
    leave_out_networks(config)
    assert config == asked
    config["only"] = ["b", "a"]
    leave_out_networks(config)
    assert list(config["networks"]) == ["a", "b"] and config["twins"] == asked["twins"]
    assert config["figures"]["networks"] == {"fig5": ["a"], "fig6": []}
    assert config["figures"]["no_fullgrad"] == ["b"]
    assert config["figures"]["fig7"] == {"images": [0], "methods": {"a": ["input"]}}
    config["only"] = ["a"]
    leave_out_networks(config)
    assert config["twins"] == [] and config["figures"]["no_fullgrad"] == []


def test_networks_to_take_that_are_none():
    config = configuration(a=True) | {"only": ["a", "x"]}
    assert refused(leave_out_networks, config) == "only.1 is x; allowed are a"


@pytest.mark.parametrize(
    ("images", "localised"),
    [
        ({"source": "digits"}, True),
        ({"source": "folder"}, False),
        ({"source": "folder", "masks": "a"}, True),
        ({"source": "imagenet", "masks": "", "boxes": "a"}, True),
        ({"source": "imagenet", "masks": "", "boxes": ""}, False),
    ],
)
def test_maps_are_held_against_masks_where_there_are_some(images, localised):
    config = configuration(a={"explain": ["layers"]}, b={}) | {"images": images}
    assert ("localisation" in Plan(config).tables("a")) is localised and "localisation" not in Plan(config).tables("b")


def test_objects_are_shown_to_decide_where_evidence_is_planted():
    config = configuration(a={"explain": ["layers"]}, b={})
    for images, planted in (({"planted": True}, True), ({"planted": False}, False), ({}, False)):
        plan = Plan(config | {"images": {"source": "digits", **images}})
        assert ("objects" in plan.tables("a")) is planted and "objects" not in plan.tables("b")


def test_all_methods_are_held_against_masks():
    """The paper's whatever a network is explained by, first; then those that it is explained by beside them."""
    config = configuration(a={"explain": ["layers", "mine"]}, b={"explain": ["layers", "signed"]}) | {"methods": OWN}
    papers = methods_of("layers", "biases", "aggregates")
    assert Plan(config).localised_methods("a") == papers
    assert Plan(config).localised_methods("b") == [*papers, *methods_of("signed")]


OWN = {"ig": {"source": "captum", "name": "IntegratedGradients"}, "mine": {"source": "file", "path": "mine.py"}}


def test_methods_with_passes_of_their_own_are_groups_of_one():
    config = configuration(a={"explain": ["layers", "mine"]}, b={"explain": True}, c={}) | {"methods": OWN}
    check_plan(config)
    plan = Plan(config)
    (run,) = plan.runs("a")
    assert list(map(str, run.methods)) == ["gradient", "input", "activity", "mine"]
    assert plan.own_methods("a") == ["mine"] and plan.own_methods("b") == ["ig", "mine"] and not plan.own_methods("c")
    assert "original-bilinear-mine" not in plan.tables("a") and "original-bilinear-layers" in plan.tables("a")
    assert plan.kind("mine").kind == "mine" and plan.kind("signed_activity").signed


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"gradient": OWN["ig"]}, "methods has gradient, no name for a method of one's own; taken are "),
        (
            {"ig": {**OWN["ig"], "n_steps": "many"}},
            "methods.ig.n_steps is 'many'; allowed is a whole number of at least 1",
        ),
        ({"ig": {**OWN["ig"], "steps": 3}}, "methods.ig.steps is not a known key of IntegratedGradients; allowed are "),
        ({"mine": {"source": "file"}}, "methods.mine.path is missing; allowed is the path of a file or folder"),
    ],
)
def test_methods_that_can_not_be(methods, message):
    assert refused(check_plan, configuration(a={"explain": True}) | {"methods": methods}).startswith(message)


def test_a_method_that_is_not_declared():
    config = configuration(a={"explain": ["layers", "yours"]}) | {"methods": OWN}
    allowed = "layers, biases, aggregates, signed, ig, mine"
    assert refused(check_plan, config) == f"networks.a.explain.1 is yours; allowed are {allowed}"


def with_methods(explain: object, **methods: dict) -> dict:
    return configuration(a={"explain": explain}) | {"methods": {**OWN, **methods}}


@pytest.mark.parametrize("of", ["ig", "gradient", "activity_3", "activity_from_2"])
def test_means_beside_their_methods(of):
    config = with_methods(["layers", "aggregates", "ig", "mean"], mean={"source": "mean", "of": of})
    check_plan(config)
    plan = Plan(config)
    assert plan.own_methods("a") == ["ig", "mean"] and plan.derived_from("mean") == of and not plan.derived_from("ig")


@pytest.mark.parametrize(
    ("explain", "methods", "message"),
    [
        (True, {"m": {"source": "mean"}}, "methods.m.of is missing; allowed is the name of another method"),
        (
            True,
            {"m": {"source": "mean", "of": "gig"}},
            "methods.m.of is gig; allowed are ig, mine, gradient, input, gradcam, ",
        ),
        (True, {"m": {"source": "mean", "of": "activity"}}, "methods.m.of is activity; allowed are ig, mine, "),
        (
            True,
            {"m": {"source": "mean", "of": "k"}, "k": {"source": "mean", "of": "ig"}},
            "methods.m.of is k, which is made of another's maps itself; allowed is any other method",
        ),
        (True, {"m": {"source": "mean", "of": "m"}}, "methods.m.of is m, which is made of another's maps itself"),
        (
            ["layers", "m"],
            {"m": {"source": "mean", "of": "ig"}},
            "networks.a.explain has m, made of the maps of ig, by which the network isn't explained; "
            "allowed is a method beside what it is made of",
        ),
        (
            ["layers", "m"],
            {"m": {"source": "mean", "of": "activity_from_1"}},
            "networks.a.explain has m, made of the maps of activity_from_1, by which the network isn't explained",
        ),
        (
            ["layers", "m"],
            {"m": {"source": "mean", "of": "signed_activity_1"}},
            "networks.a.explain has m, made of the maps of signed_activity_1, by which the network isn't explained",
        ),
    ],
)
def test_means_that_can_not_be(explain, methods, message):
    assert refused(check_plan, with_methods(explain, **methods)).startswith(message)


def test_a_setting_of_a_file_of_ones_own_may_have_that_name():
    config = with_methods(["layers", "mine"], mine={**OWN["mine"], "of": "nothing"})
    check_plan(config)
    assert Plan(config).derived_from("mine") == ""


def test_a_mean_that_no_network_is_explained_by_needs_no_method():
    check_plan(with_methods(["layers"], mean={"source": "mean", "of": "ig"}))
