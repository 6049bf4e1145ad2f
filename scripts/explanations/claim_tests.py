"""The tests of the paper's claims on a run's statistics. Their thresholds were fixed before any run."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from explanations.methods import layers_of
from explanations.statistics import adjust_holm, signed_rank_test
from explanations.verdicts import (
    ALPHA,
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    Finding,
    describe_p,
    judge_ratio,
    judge_signs,
    ratio,
    ratio_error,
    span,
)


@dataclass(frozen=True)
class Evidence:
    """A run's statistics, by network: tables as the statistics steps write them, and accuracies by variant."""

    biases: pd.DataFrame  # VGG-16
    biases_other: pd.DataFrame  # with the other upsampling
    aggregates: dict[str, pd.DataFrame]
    variants: pd.DataFrame  # ResNet-50, decayed against original
    correlations: dict[str, pd.DataFrame]
    gross_sums: pd.DataFrame  # ResNet-50
    accuracy: dict[str, dict[str, float]]
    tested_images: int
    survey: dict[str, pd.DataFrame]  # of the zoo, by table: accuracy, outputs, fits, robustness


# --- selecting rows ----------------------------------------------------------------------------------------------


def select(table: pd.DataFrame, family: str, measure: str, **columns: str | list[str]) -> pd.DataFrame:
    """The rows of a family of comparisons and a measure, with further columns equal to a value or one of a list."""
    rows = table[(table.family == family) & (table.measure == measure)]
    for column, wanted in columns.items():
        rows = rows[rows[column].isin([wanted] if isinstance(wanted, str) else wanted)]
    return rows


def top_layer(table: pd.DataFrame) -> int:
    """The highest layer of a table's single-layer methods."""
    return layers_of("activity", table.method_a)[-1]


def methods_of(prefix: str, layers: range) -> list[str]:
    """The names <prefix>_<layer>."""
    return [f"{prefix}_{layer}" for layer in layers]


# --- the tests ---------------------------------------------------------------------------------------------------


def activity_against_bias(found: Evidence) -> Finding:
    rows = select(found.biases, "bias", "delta_e_minus")
    return judge_signs(rows[rows.method_a != "input"], +1)


def input_against_gradient(found: Evidence) -> Finding:
    return judge_signs(select(found.biases, "bias", "delta_e_minus", method_a="input"), -1)


def top_three_against_fullgrad(found: Evidence) -> Finding:
    table = found.aggregates["vgg16"]
    method = f"activity_from_{top_layer(table) - 2}"
    return judge_signs(select(table, "fullgrad", "delta_e_minus", method_a=method), +1)


def all_layers_against_top_three(measure: str) -> Callable[[Evidence], Finding]:
    def test(found: Evidence) -> Finding:
        table = found.aggregates["vgg16"]
        reference = f"activity_from_{top_layer(table) - 2}"
        rows = select(table, "aggregate", measure, method_a="activity_from_1", method_b=reference)
        return judge_signs(rows, +1)

    return test


def adding_the_input(measure: str) -> Callable[[Evidence], Finding]:
    return lambda found: judge_signs(select(found.aggregates["vgg16"], "input", measure), -1)


def penultimate_is_best(found: Evidence) -> Finding:
    table = found.aggregates["resnet50"]
    rows = select(table, "single", "delta_e_minus")
    return judge_signs(rows[~rows.method_a.str.startswith("activity_from")], -1)


def top_two_against_penultimate(measure: str) -> Callable[[Evidence], Finding]:
    def test(found: Evidence) -> Finding:
        table = found.aggregates["resnet50"]
        rows = select(table, "single", measure, method_a=f"activity_from_{top_layer(table) - 1}")
        if measure == "e_minus":
            return judge_signs(rows, +1)
        judged = judge_signs(rows, +1)
        row = rows.iloc[0]
        verdict = NOT_SUPPORTED if judged.verdict == NOT_SUPPORTED else UNDECIDED
        if row.ci_low >= -0.02:  # 2% of the signal
            verdict = SUPPORTED
        interval = f"95% interval {row.ci_low:+.3f} to {row.ci_high:+.3f}"
        return Finding(f"{judged.ours}, {interval}", "the interval's lower end is at least −0.02", verdict)

    return test


def more_layers_hurt(found: Evidence) -> Finding:
    table = found.aggregates["resnet50"]
    chosen = methods_of("activity_from", range(1, 10))
    reference = f"activity_from_{top_layer(table) - 1}"
    return judge_signs(select(table, "aggregate", "delta_e_minus", method_a=chosen, method_b=reference), -1)


def zeroing_costs_little(found: Evidence) -> Finding:
    table = found.survey["accuracy"]
    table = table[(table.k == 1) & (table.normalisation == "none")].set_index("network")
    losses = table.original - table.zeroed
    small, large = losses < 0.01, losses - 2 * table.standard_error > 0.01
    verdict = SUPPORTED if (~small).sum() <= 1 else NOT_SUPPORTED if large.sum() > 1 else UNDECIDED
    text = f"loss of top-1 {span(100 * losses, '{:.1f}')} points, under 1 in {small.sum()} of {len(losses)} networks"
    test = "loss under 1 point in all networks but one; not supported if over 1 by 2 standard errors in two"
    return Finding(f"{text} (n = {table.n.max()})", test, verdict)


def zeroing_destroys(found: Evidence) -> Finding:
    table = found.survey["accuracy"]
    table = table[(table.k == 1) & (table.normalisation == "batch")].set_index("network")
    kept = table.zeroed / table.original.where(table.original > 0)
    text = f"top-1 {span(100 * table.original, '{:.1f}')}% before, {span(100 * table.zeroed, '{:.1f}')}% after; "
    text += f"{len(kept)} networks, n = {table.n.max()}"
    return judge_ratio(kept.max(), (0, 0.5), (0, 0.8), text, "largest share kept: ")


def outputs_stay_correlated(found: Evidence) -> Finding:
    table = found.survey["outputs"]
    mean = table[table.normalisation == "none"].groupby("network").correlation.mean()
    return judge_ratio(mean.min(), (0.9, 1), (0.7, 1), f"mean ρ {span(mean, '{:.3f}')}", "least of the networks: ")


def outputs_shrink(found: Evidence) -> Finding:
    table = found.survey["fits"]
    fits = table[table.normalisation == "none"].groupby("network").alpha
    tests = [signed_rank_test(1 - alpha.dropna().to_numpy()) for _, alpha in fits]
    significant = adjust_holm(np.array([test.log10_p for test in tests])) < np.log10(ALPHA)
    signs = np.sign([test.effect_size for test in tests])
    right, wrong = int((significant & (signs > 0)).sum()), int((significant & (signs < 0)).sum())
    verdict = SUPPORTED if right == len(tests) else NOT_SUPPORTED if wrong else UNDECIDED
    text = f"median α {span(fits.median(), '{:.3f}')}; below 1 in {right} of {len(tests)} networks, above in {wrong}"
    return Finding(f"{text}, {fits.size().max()} fits each", f"Wilcoxon signed rank, Holm, α = {ALPHA}", verdict)


def offset_is_negligible(found: Evidence) -> Finding:
    table = found.survey["fits"]
    table = table[table.normalisation == "none"]
    share = (table.beta.abs() / table.largest_output).groupby(table.network).median()
    text = f"median |β| / max |f_c| {span(share, '{:.3f}')}"
    return judge_ratio(share.max(), (0, 0.05), (0, 0.2), text, "largest of the networks: ")


def robust_without_batch_norm(change: str, value: float) -> Callable[[Evidence], Finding]:
    def test(found: Evidence) -> Finding:
        table = found.survey["robustness"]
        rows = table[(table.change == change) & (table.value == value)]
        without, with_norm = (rows[rows.normalisation == key].relative_change.dropna() for key in ("none", "batch"))
        p = stats.mannwhitneyu(without, with_norm).pvalue if len(without) and len(with_norm) else np.nan
        better = without.median() > with_norm.median()
        verdict = (SUPPORTED if better else NOT_SUPPORTED) if p < ALPHA else UNDECIDED
        text = f"relative change of top-1 without {span(without, '{:+.2f}')}, with {span(with_norm, '{:+.2f}')}; "
        return Finding(
            f"{text}p = {p:.2g}", f"Mann–Whitney over {len(without) + len(with_norm)} networks, α = {ALPHA}", verdict
        )

    return test


def decay_restores(network: str) -> Callable[[Evidence], Finding]:
    def test(found: Evidence) -> Finding:
        accuracy = found.accuracy[network]
        share = ratio(accuracy["decayed"], accuracy["original"])
        error = ratio_error(accuracy["decayed"], accuracy["original"], found.tested_images)
        text = ", ".join(f"{variant} {value:.1%}" for variant, value in accuracy.items())
        text = f"{text}; decayed / original {share:.4f} ± {error:.4f} (n = {found.tested_images})"
        return judge_ratio(share, (0.99, np.inf), (0.99 - 2 * error, np.inf), text)

    return test


def gross_sums_equal(found: Evidence) -> Finding:
    table = found.gross_sums[found.gross_sums.variant == "decayed"]
    largest = table.largest_relative_gap.max(skipna=False)  # empty where a gap has no bound
    text = f"largest |A − f_c| / |f_c| over layers and images: {largest:.1e}"
    return judge_ratio(largest, (0, 1e-3), (0, 1e-2), text)


def gross_sums_differ(found: Evidence) -> Finding:
    table = found.gross_sums[found.gross_sums.variant == "original"]
    table = table[table.layer < table.layer.max()]  # the output's sum is the score itself
    gap, negative = table.median_relative_gap.median(), table.negative_share.mean()
    text = f"median |A − f_c| / |f_c| {gap:.2f}; A < 0 in {negative:.0%} of images and layers, "
    text += f"in most images of {int((table.negative_share > 0.5).sum())} of {len(table)} layers"
    judged = judge_ratio(negative, (0.25, 1), (0.05, 1), text)
    return judged if gap > 0.1 else Finding(text, judged.test, NOT_SUPPORTED)


def zeroing_keeps_maps(found: Evidence) -> Finding:
    table = found.correlations["vgg16"]
    rho = table[table.comparison == "zeroed"]["median"]
    text = f"median ρ per layer {rho.min():.3f} to {rho.max():.3f}"
    return judge_ratio(rho.min(), (0.95, 1), (0.8, 1), text)


def zeroing_changes_maps(found: Evidence) -> Finding:
    table = found.correlations["resnet50"]
    table = table[table.comparison == "zeroed"].set_index("layer")["median"]
    top, first = table.iloc[-2:], table.loc[1]
    text = f"median ρ: top two {top.min():.2f} and above, layer 1 {first:.2f}, least {table.min():.2f}"
    if top.min() > 0.9 and first < 0.5:
        verdict = SUPPORTED
    else:
        verdict = NOT_SUPPORTED if top.min() < 0.5 or first > 0.9 else UNDECIDED
    return Finding(text, "top two above 0.9 and layer 1 below 0.5; not supported if below 0.5 or above 0.9", verdict)


def zero_bias_signed(found: Evidence) -> Finding:
    top = layers_of("signed_activity", found.variants.method_a)[-1]
    chosen = methods_of("signed_activity", range(1, top - 1))
    return judge_signs(select(found.variants, "variant_signed", "delta_e_minus", method_a=chosen), +1)


def zero_bias_unsigned(found: Evidence) -> Finding:
    top = top_layer(found.variants)
    rows = select(found.variants, "variant", "delta_e_minus", method_a=methods_of("activity", range(top - 1, top + 1)))
    judged = judge_signs(rows, -1)
    improved = ((rows.log10_p_holm < np.log10(ALPHA)) & (rows.effect_size > 0)).any()
    verdict = NOT_SUPPORTED if improved else SUPPORTED if (rows.ci_high <= 0.02).all() else UNDECIDED
    text = f"median difference {rows.median_difference.min():+.3f} to {rows.median_difference.max():+.3f}, "
    text += f"intervals up to {rows.ci_high.max():+.3f}"
    return Finding(text, f"{judged.test}; no improvement, the intervals' upper ends at most 0.02", verdict)


def minus_is_twice_plus(found: Evidence) -> Finding:
    ratios = {}
    for network, table in found.aggregates.items():
        minus, plus = (select(table, "noise", measure).median_a.mean() for measure in ("delta_e_minus", "delta_e_plus"))
        ratios[network] = ratio(minus, -plus)
    text = ", ".join(f"{network} {value:.2f}" for network, value in ratios.items())
    return judge_ratio(float(np.mean(list(ratios.values()))), (1.5, 3), (1, 4), f"mean δe₋ / mean −δe₊: {text}")


def orders_agree(found: Evidence) -> Finding:
    texts, agree, differ, against = [], [], [], []
    for network, table in found.aggregates.items():
        rho = {}
        for minus, plus in (("delta_e_minus", "delta_e_plus"), ("e_minus", "e_plus")):
            rows = table[(table.family == "gradient") & table.measure.isin([minus, plus])]
            medians = rows.pivot(index="method_a", columns="measure", values="median_a")
            rho[minus] = stats.spearmanr(medians[minus], -medians[plus])
        better, worse = rho["delta_e_minus"], rho["e_minus"]
        texts.append(f"{network}: δe ρ = {better.statistic:.2f}, e ρ = {worse.statistic:.2f}")
        agree.append(better.statistic > 0 and better.pvalue < ALPHA)
        differ.append(worse.statistic < better.statistic)
        against.append(worse.statistic >= better.statistic)  # neither if medians are the same, which have no order
    verdict = SUPPORTED if all(agree) and all(differ) else NOT_SUPPORTED if any(against) else UNDECIDED
    test = "Spearman's ρ of the methods' medians, e₊ reversed: δe's above 0 (p < 0.05) and above e's, both networks"
    return Finding("; ".join(texts), test, verdict)


def noise_is_structured(found: Evidence) -> Finding:
    texts, verdicts = [], []
    for network, table in found.aggregates.items():
        rows = select(table, "noise", "e_delta_noise")
        rows = rows[rows.method_a.isin([f"activity_{layer}" for layer in layers_of("activity", rows.method_a)])]
        nonzero = int((rows.log10_p_holm < np.log10(ALPHA)).sum())
        flat = select(table, "layers", "e_delta_noise").iloc[0]
        texts.append(
            f"{network}: {nonzero} of {len(rows)} layers differ from 0, Friedman p = {describe_p(flat.log10_p)}"
        )
        verdicts.append((nonzero > len(rows) / 2, flat.log10_p < np.log10(ALPHA)))
    verdict = SUPPORTED if all(all(pair) for pair in verdicts) else UNDECIDED
    test = "e_Δ^ξ ≠ 0 in most layers (Wilcoxon, Holm) and different between layers (Friedman), both networks"
    return Finding("; ".join(texts), test, verdict)


def delta_is_more_significant(found: Evidence) -> Finding:
    p = {m: select(found.biases, "bias", m).set_index("method_a").log10_p for m in ("delta_e_delta", "delta_e_minus")}
    gain = (p["delta_e_minus"] - p["delta_e_delta"]).drop("input")
    test = stats.wilcoxon(gain)
    text = f"log10 p lower in {int((gain > 0).sum())} of {len(gain)} layers, by {gain.median():.1f} (median), "
    text += f"{gain.max():.1f} (most); p = {test.pvalue:.2g}"
    significant = test.pvalue < ALPHA
    verdict = UNDECIDED if not significant else SUPPORTED if gain.median() > 0 else NOT_SUPPORTED
    return Finding(text, f"Wilcoxon signed rank over layers, α = {ALPHA}", verdict)


def other_upsampling_halves(found: Evidence) -> Finding:
    medians = []
    for table in (found.biases_other, found.biases):
        rows = select(table, "bias", "delta_e_minus")
        medians.append(rows[rows.method_a != "input"].median_a.mean())
    share = ratio(*medians)
    text = f"mean over layers of median δe₋: {medians[0]:.3f} against {medians[1]:.3f}, ratio {share:.2f}"
    return judge_ratio(share, (0.35, 0.7), (0.2, 0.9), text)


# fmt: off
