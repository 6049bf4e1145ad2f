"""The tests of the paper's claims on a network's statistics, or the zoo's. Thresholds were fixed before any run.

Two of them, of zeroing_costs_little and decay_restores, are in standard errors that the run gives.

A network may have been measured at some of its layers. "Top" counts all that have maps from the output, and a claim of
one that was not measured is not tested: an average from a layer to the top takes in all layers above it, measured or
not, so no other layer can take its place. A claim of every layer is tested at those that were measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
from scipy import stats

from explanations.methods.names import MethodName, layers_of, parse_method
from explanations.statistics.evidence import NetworkEvidence, ZooEvidence
from explanations.statistics.power import describe_need, images_by_interval, images_for
from explanations.statistics.significance import ALPHA, describe_p, is_significant
from explanations.statistics.tests import adjust_holm, signed_rank_test
from explanations.statistics.verdicts import (
    BETWEEN,
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    Finding,
    NotMeasuredError,
    judge_ratio,
    judge_signs,
    need_of_signs,
    ratio,
    ratio_error,
    span,
)

ACTIVITY, AGGREGATE = MethodName("activity"), MethodName("activity_from")
SIGNED = MethodName("activity", signed=True)


# --- choosing rows ----------------------------------------------------------------------------------------------


def rows_of(table: pd.DataFrame, family: str, measure: str, **columns: str | list[str]) -> pd.DataFrame:
    """The rows of a family of comparisons and a measure, with further columns equal to a value or one of a list.

    NotMeasuredError if there is none.
    """
    rows = table[(table.family == family) & (table.measure == measure)]
    for column, wanted in columns.items():
        rows = rows[rows[column].isin([wanted] if isinstance(wanted, str) else wanted)]
    if rows.empty:
        raise NotMeasuredError(f"comparisons {family} of {measure}")
    return rows


def variant_of(table: pd.DataFrame, column: str, variant: str) -> pd.DataFrame:
    """The rows of a variant; NotMeasuredError if there is none."""
    rows = table[table[column] == variant]
    if rows.empty:
        raise NotMeasuredError(f"{variant} variant")
    return rows


def from_top(measured: NetworkEvidence, table: pd.DataFrame, count: int) -> int:
    """The layer that is `count` from the top, 1 the top itself; NotMeasuredError if there is none, or no map measured.

    It is counted among all layers with maps, whatever part of them a table has.
    """
    if len(measured.layers) < count:
        raise NotMeasuredError(f"network with maps of {count} layers")
    layer = measured.layers[-count]
    if layer not in layers_in(table):
        raise NotMeasuredError(f"measurement of layer {layer}, number {count} from the top")
    return layer


def layers_in(table: pd.DataFrame) -> list[int]:
    """The layers of a table's single-layer methods, ascending."""
    return layers_of(ACTIVITY, table.method_a)


def against_biases(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of a measure that compare a layer's activity with its bias; NotMeasuredError if there is none."""
    rows = rows_of(table, "bias", measure)
    rows = rows[rows.method_a != "input"]  # which is compared with gradient
    if rows.empty:
        raise NotMeasuredError("layer with a bias")
    return rows


def names_at(kind: MethodName, layers: Iterable[int]) -> list[str]:
    """The names of a kind's maps of some layers."""
    return [str(kind.at(layer)) for layer in layers]


# --- the tests ---------------------------------------------------------------------------------------------------


def activity_against_bias(measured: NetworkEvidence) -> Finding:
    return judge_signs(against_biases(measured.table("biases"), "delta_e_minus"), +1)


def input_against_gradient(measured: NetworkEvidence) -> Finding:
    return judge_signs(rows_of(measured.table("biases"), "bias", "delta_e_minus", method_a="input"), -1)


def top_three_against_fullgrad(measured: NetworkEvidence) -> Finding:
    table = measured.table("aggregates")
    method = str(AGGREGATE.at(from_top(measured, table, 3)))
    return judge_signs(rows_of(table, "fullgrad", "delta_e_minus", method_a=method), +1)


def all_layers_against_top_three(measure: str) -> Callable[[NetworkEvidence], Finding]:
    def test(measured: NetworkEvidence) -> Finding:
        table = measured.table("aggregates")
        reference = str(AGGREGATE.at(from_top(measured, table, 3)))
        all_layers = str(AGGREGATE.at(measured.layers[0]))
        return judge_signs(rows_of(table, "aggregate", measure, method_a=all_layers, method_b=reference), +1)

    return test


def adding_the_input(measure: str) -> Callable[[NetworkEvidence], Finding]:
    return lambda measured: judge_signs(rows_of(measured.table("aggregates"), "input", measure), -1)


def layer_below_top_is_best(measured: NetworkEvidence) -> Finding:
    table = measured.table("aggregates")
    others, best = names_at(ACTIVITY, layers_in(table)), str(ACTIVITY.at(from_top(measured, table, 2)))
    return judge_signs(rows_of(table, "single", "delta_e_minus", method_a=others, method_b=best), -1)


def top_two_against_lower(measure: str) -> Callable[[NetworkEvidence], Finding]:
    def test(measured: NetworkEvidence) -> Finding:
        table = measured.table("aggregates")
        rows = rows_of(table, "single", measure, method_a=str(AGGREGATE.at(from_top(measured, table, 2))))
        if measure == "e_minus":
            return judge_signs(rows, +1)
        judged = judge_signs(rows, +1)
        row = rows.iloc[0]
        verdict = NOT_SUPPORTED if judged.verdict == NOT_SUPPORTED else UNDECIDED
        if row.ci_low >= -0.02:  # 2% of the signal
            verdict = SUPPORTED
        interval = f"95% interval {row.ci_low:+.3f} to {row.ci_high:+.3f}"
        images = images_by_interval(row.n, row.median_difference, row.ci_low, -0.02)
        needed = describe_need(images, True) if row.median_difference > -0.02 else judged.needed
        test = "the interval's lower end is at least −0.02"
        return replace(judged, ours=f"{judged.ours}, {interval}", test=test, verdict=verdict, needed=needed)

    return test


def more_layers_hurt(measured: NetworkEvidence) -> Finding:
    """The lower half of the layers, the middle one included, is 1 to 9 of ResNet-50's 17."""
    table = measured.table("aggregates")
    layers, reference = measured.layers, from_top(measured, table, 2)
    lower = [layer for layer in layers[: (len(layers) + 1) // 2] if layer < reference]
    chosen = [layer for layer in layers_in(table) if layer in lower]
    rows = rows_of(
        *(table, "aggregate", "delta_e_minus"),
        method_a=names_at(AGGREGATE, chosen),
        method_b=str(AGGREGATE.at(reference)),
    )
    judged = judge_signs(rows, -1)
    which = f"≤ {lower[-1]}" if chosen == lower else f"= {', '.join(map(str, chosen))}"
    return replace(judged, ours=f"l₀ {which} against {reference}: {judged.ours}")


def zeroing_costs_little(zoo: ZooEvidence) -> Finding:
    table = zoo.tables["accuracy"]
    table = table[table.k == 1].set_index("network")
    losses = table.original - table.zeroed
    small, large = losses < 0.01, losses - 2 * table.standard_error > 0.01
    verdict = SUPPORTED if (~small).sum() <= 1 else NOT_SUPPORTED if large.sum() > 1 else UNDECIDED
    text = (
        f"loss of {zoo.score} {span(100 * losses, '{:.1f}')} points, under 1 in {small.sum()} of {len(losses)} networks"
    )
    test = "loss under 1 point in all networks but one; not supported if over 1 by 2 standard errors in two"
    over = table.n * (2 * table.standard_error / (losses - 0.01)) ** 2  # images that show a loss to be over 1 point
    needed = describe_need(over[~small].nsmallest(2).max(), False) if (~small).sum() > 1 else ""
    return Finding(f"{text} (n = {table.n.max()})", test, verdict, "largest loss", losses.max(), needed)


def zeroing_destroys(zoo: ZooEvidence) -> Finding:
    table = zoo.tables["accuracy"]
    table = table[table.k == 1].set_index("network")
    kept = table.zeroed / table.original.where(table.original > 0)
    text = f"{zoo.score} {span(100 * table.original, '{:.1f}')}% before, {span(100 * table.zeroed, '{:.1f}')}% after "
    text += f"(n = {table.n.max()})"
    return judge_ratio("largest share kept", kept.max(), (0, 0.5), (0, 0.8), text)


def outputs_stay_correlated(zoo: ZooEvidence) -> Finding:
    mean = zoo.tables["outputs"].groupby("network").correlation.mean()
    return judge_ratio("least mean ρ", mean.min(), (0.9, 1), (0.7, 1), f"mean ρ {span(mean, '{:.3f}')}")


def outputs_shrink(zoo: ZooEvidence) -> Finding:
    fits = zoo.tables["fits"].groupby("network").alpha
    tests = pd.DataFrame([asdict(signed_rank_test(1 - alpha.dropna().to_numpy(), zoo.zeros)) for _, alpha in fits])
    tests["log10_p_holm"] = adjust_holm(tests.log10_p.to_numpy())
    significant, signs = is_significant(tests.log10_p_holm), np.sign(tests.effect_size)
    right, wrong = int((significant & (signs > 0)).sum()), int((significant & (signs < 0)).sum())
    verdict = SUPPORTED if right == len(tests) else NOT_SUPPORTED if wrong else UNDECIDED
    text = f"median α {span(fits.median(), '{:.3f}')}; below 1 in {right} of {len(tests)} networks, above in {wrong}"
    needed = need_of_signs(tests, +1, "fits")
    test = f"Wilcoxon signed rank, Holm, α = {ALPHA}"
    ours = f"{text}, {fits.size().max()} fits each"
    return Finding(ours, test, verdict, "middle of the median α", fits.median().median(), needed)


def offset_is_negligible(zoo: ZooEvidence) -> Finding:
    table = zoo.tables["fits"]
    share = (table.beta.abs() / table.largest_output).groupby(table.network).median()
    text = f"median |β| / max |f_c| {span(share, '{:.3f}')}"
    return judge_ratio("largest median |β| / max |f_c|", share.max(), (0, 0.05), (0, 0.2), text)


def robust_without_batch_norm(change: str, value: float) -> Callable[[ZooEvidence], Finding]:
    def test(zoo: ZooEvidence) -> Finding:
        table = zoo.tables["robustness"]
        rows = table[(table.change == change) & (table.value == value)]
        if rows.empty:
            raise NotMeasuredError(f"images changed by {change} {value:g}")
        without, with_norm = (rows[rows.normalisation == key].relative_change.dropna() for key in ("none", "batch"))
        p = stats.mannwhitneyu(without, with_norm).pvalue if len(without) and len(with_norm) else np.nan
        gap = without.median() - with_norm.median()
        verdict = (SUPPORTED if gap > 0 else NOT_SUPPORTED) if p < ALPHA else UNDECIDED
        text = f"relative change of {zoo.score} without {span(without, '{:+.2f}')}, with {span(with_norm, '{:+.2f}')}; "
        how = f"Mann–Whitney over {len(without) + len(with_norm)} networks, α = {ALPHA}"
        needed = "more networks, not more images"
        return Finding(f"{text}p = {p:.2g}", how, verdict, "difference of medians", gap, needed)

    return test


def decay_restores(measured: NetworkEvidence) -> Finding:
    accuracy = measured.accuracy
    if not accuracy:
        raise NotMeasuredError("accuracy as its biases decayed")
    share = ratio(accuracy["decayed"], accuracy["original"])
    error = ratio_error(accuracy["decayed"], accuracy["original"], measured.tested_images)
    text = ", ".join(f"{variant} {value:.1%}" for variant, value in accuracy.items())
    text = f"{measured.score} {text}; decayed / original {share:.4f} ± {error:.4f} (n = {measured.tested_images})"
    images = images_by_interval(measured.tested_images, share, share + 2 * error, 0.99)
    needed = describe_need(images, supported=False)
    supported, refuted = (0.99, np.inf), (0.99 - 2 * error, np.inf)
    return judge_ratio("decayed / original", share, supported, refuted, text, needed)


def gross_sums_equal(measured: NetworkEvidence) -> Finding:
    table = measured.table("gross_sums")
    table = variant_of(table, "variant", "decayed")
    largest = table.largest_relative_gap.max(skipna=False)  # empty where a gap has no bound
    text = f"largest |A − f_c| / |f_c| over layers and images: {largest:.1e}"
    return judge_ratio("largest gap", largest, (0, 1e-3), (0, 1e-2), text)


def gross_sums_differ(measured: NetworkEvidence) -> Finding:
    table = measured.table("gross_sums")
    table = variant_of(table, "variant", "original")
    table = table[table.layer < table.layer.max()]  # the output's sum is the score itself
    gap, negative = table.median_relative_gap.median(), table.negative_share.mean()
    text = f"median |A − f_c| / |f_c| {gap:.2f}; A < 0 in {negative:.0%} of images and layers, "
    text += f"in most images of {int((table.negative_share > 0.5).sum())} of {len(table)} layers"
    judged = judge_ratio("share of A < 0", negative, (0.25, 1), (0.05, 1), text)
    return judged if gap > 0.1 else replace(judged, verdict=NOT_SUPPORTED)


def zeroing_keeps_maps(measured: NetworkEvidence) -> Finding:
    table = measured.table("correlations")
    rho = variant_of(table, "comparison", "zeroed")["median"]
    text = f"median ρ per layer {rho.min():.3f} to {rho.max():.3f}"
    return judge_ratio("least median ρ", rho.min(), (0.95, 1), (0.8, 1), text)


def zeroing_changes_maps(measured: NetworkEvidence) -> Finding:
    table = variant_of(measured.table("correlations"), "comparison", "zeroed")
    rho = table.set_index("layer")["median"].sort_index()
    layers = [layer for layer in rho.index if layer]  # 0 is the input
    if len(layers) < 3:
        raise NotMeasuredError("layer with maps below the top two")
    top, first = rho[layers[-2:]].min(), rho[layers[0]]
    text = f"median ρ: top two {top:.2f} and above, layer {layers[0]} {first:.2f}, least {rho.min():.2f}"
    refuted = top < 0.5 or first > 0.9
    verdict = SUPPORTED if top > 0.9 and first < 0.5 else NOT_SUPPORTED if refuted else UNDECIDED
    test = "top two above 0.9 and the lowest layer below 0.5; not supported if below 0.5 or above 0.9"
    return Finding(text, test, verdict, "least median ρ of the top two", top, BETWEEN)


def zero_bias_signed(measured: NetworkEvidence) -> Finding:
    table = measured.table("variants")
    chosen = [layer for layer in layers_of(SIGNED, table.method_a) if layer in measured.layers[:-2]]
    return judge_signs(rows_of(table, "variant_signed", "delta_e_minus", method_a=names_at(SIGNED, chosen)), +1)


def zero_bias_unsigned(measured: NetworkEvidence) -> Finding:
    table = measured.table("variants")
    top_two = [from_top(measured, table, count) for count in (2, 1)]
    rows = rows_of(table, "variant", "delta_e_minus", method_a=names_at(ACTIVITY, top_two))
    judged = judge_signs(rows, -1)
    improved = (is_significant(rows.log10_p_holm) & (rows.effect_size > 0)).any()
    verdict = NOT_SUPPORTED if improved else SUPPORTED if (rows.ci_high <= 0.02).all() else UNDECIDED
    text = f"median difference {rows.median_difference.min():+.3f} to {rows.median_difference.max():+.3f}, "
    text += f"intervals up to {rows.ci_high.max():+.3f}"
    bounds = zip(rows.n, rows.median_difference, rows.ci_high, strict=True)
    images = max(n if high <= 0.02 else images_by_interval(n, middle, high, 0.02) for n, middle, high in bounds)
    needed = describe_need(images, True) if (rows.median_difference < 0.02).all() else need_of_signs(rows, -1)
    test = f"{judged.test}; no improvement, the intervals' upper ends at most 0.02"
    return replace(judged, ours=text, test=test, verdict=verdict, needed=needed)


def minus_is_twice_plus(measured: NetworkEvidence) -> Finding:
    table = measured.table("aggregates")
    minus, plus = (rows_of(table, "noise", measure).median_a.mean() for measure in ("delta_e_minus", "delta_e_plus"))
    value = ratio(minus, -plus)
    return judge_ratio("mean δe₋ / mean −δe₊", value, (1.5, 3), (1, 4), f"mean δe₋ / mean −δe₊ {value:.2f}")


def orders_agree(measured: NetworkEvidence) -> Finding:
    table = measured.table("aggregates")
    rho = {}
    for minus, plus in (("delta_e_minus", "delta_e_plus"), ("e_minus", "e_plus")):
        first, second = (
            rows_of(table, "gradient", measure).set_index("method_a").median_a for measure in (minus, plus)
        )
        rho[minus] = stats.spearmanr(first, -second[first.index])
    delta, e = rho["delta_e_minus"], rho["e_minus"]
    agree = delta.statistic > 0 and delta.pvalue < ALPHA
    if agree and e.statistic < delta.statistic:
        verdict = SUPPORTED
    else:  # medians that are all the same have no order, and ρ is NaN
        verdict = NOT_SUPPORTED if e.statistic >= delta.statistic else UNDECIDED
    test = "Spearman's ρ of the methods' medians, e₊ reversed: δe's above 0 (p < 0.05) and above e's"
    ours = f"δe ρ = {delta.statistic:.2f}, e ρ = {e.statistic:.2f}"
    return Finding(ours, test, verdict, "ρ of δe", delta.statistic, "more methods, not more images")


def noise_is_structured(measured: NetworkEvidence) -> Finding:
    table = measured.table("aggregates")
    rows = rows_of(table, "noise", "e_delta_noise", method_a=names_at(ACTIVITY, layers_in(table)))
    nonzero = int(is_significant(rows.log10_p_holm).sum())
    flat = rows_of(table, "layers", "e_delta_noise").iloc[0]
    text = f"{nonzero} of {len(rows)} layers differ from 0, Friedman p = {describe_p(flat.log10_p)}"
    verdict = SUPPORTED if nonzero > len(rows) / 2 and is_significant(flat.log10_p) else UNDECIDED
    test = "e_Δ^ξ ≠ 0 in most layers (Wilcoxon, Holm) and different between layers (Friedman)"
    layers = sorted(images_for(effect, len(rows)) for effect in rows.effect_size)
    needed = describe_need(layers[len(rows) // 2], True)
    if nonzero > len(rows) / 2:
        needed = "more images; Friedman's test doesn't tell how many"
    return Finding(text, test, verdict, "share of layers that differ from 0", nonzero / len(rows), needed)


def delta_is_more_significant(measured: NetworkEvidence) -> Finding:
    table = measured.table("biases")
    minus, delta = (
        against_biases(table, measure).set_index("method_a").log10_p for measure in ("delta_e_minus", "delta_e_delta")
    )
    gain = minus - delta
    test = stats.wilcoxon(gain, zero_method=measured.zeros)
    text = f"log10 p lower in {int((gain > 0).sum())} of {len(gain)} layers, by {gain.median():.1f} (median), "
    text += f"{gain.max():.1f} (most); p = {test.pvalue:.2g}"
    significant = test.pvalue < ALPHA
    verdict = UNDECIDED if not significant else SUPPORTED if gain.median() > 0 else NOT_SUPPORTED
    how, needed = f"Wilcoxon signed rank over layers, α = {ALPHA}", "more layers, not more images"
    return Finding(text, how, verdict, "median gain in log10 p", gain.median(), needed)


def other_upsampling_halves(measured: NetworkEvidence) -> Finding:
    other, usual = (
        against_biases(measured.table(name), "delta_e_minus").median_a.mean() for name in ("biases_other", "biases")
    )
    share = ratio(other, usual)
    text = f"mean over layers of median δe₋: {other:.3f} against {usual:.3f}, ratio {share:.2f}"
    return judge_ratio("ratio of the means", share, (0.35, 0.7), (0.2, 0.9), text)


def all_layers_against_single(measured: NetworkEvidence) -> Finding:
    rows = rows_of(measured.table("aggregates"), "all_layers", "delta_e_minus")
    judged, best = judge_signs(rows, +1), rows.loc[rows.median_b.idxmax()]
    text = f"the best single layer is {parse_method(best.method_b).layer}, median {best.median_b:.3f} "
    text += f"against {best.median_a:.3f}, p = {describe_p(best.log10_p_holm)}"
    return replace(judged, ours=f"{judged.ours}; {text}")


def layers_against_noise(measured: NetworkEvidence) -> Finding:
    table = measured.table("aggregates")
    rows = rows_of(table, "noise", "delta_e_minus", method_a=names_at(ACTIVITY, layers_in(table)))
    judged = judge_signs(rows, +1)
    worse = rows[is_significant(rows.log10_p_holm) & (rows.effect_size < 0)].method_a
    named = ", ".join(str(parse_method(method).layer) for method in worse)
    return replace(judged, ours=f"{judged.ours}; worse: {f'l = {named}' if named else 'none'}")


def strides_against_poolings(family: str, sign: int) -> Callable[[pd.DataFrame], Finding]:
    """A family of statistics.twins, poolings less strides, has that sign in every pair; Holm over the pairs."""

    def test(twins: pd.DataFrame) -> Finding:
        rows = twins[twins.family == family]
        return judge_signs(rows.assign(log10_p_holm=adjust_holm(rows.log10_p.to_numpy())), sign)

    return test


def measures_compared(number: str) -> Callable[[NetworkEvidence], Finding]:
    """What comparing a network's measures found of a claim of measure_claims."""

    def test(measured: NetworkEvidence) -> Finding:
        table = measured.table("measure_claims")
        rows = table[table.claim == number]
        if rows.empty:
            raise NotMeasuredError("measures that it compares")
        return Finding(**{field.name: rows[field.name].iloc[0] for field in fields(Finding)})

    return test
