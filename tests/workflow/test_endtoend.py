"""The real workflow, small: run once from nothing, then disturbed in every way that must not matter."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from interrupted import kill_snakemake, start_snakemake, wait_for_step
from PIL import Image
from test_workflow import FIGURES, OTHERS
from workflow_copy import (
    FAMILIES,
    LONGEST,
    RESULTS,
    ROOT,
    assert_same,
    copy_workflow,
    edited,
    planned_jobs,
    read_arrays,
    snakemake,
)

from explanations.statistics.claims import CLAIMS

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
RUN = yaml.safe_load((ROOT / "tests/families.yaml").read_text())["only"]
BESIDE = [name for name in OTHERS if name in RUN]  # explained beside the paper's two
# VGG-16's methods, two of them with passes of their own, by the other upsampling, ResNet-50's, one of them so, decayed
MEASURED = 9 + 2 + 4 + 10 + 1 + 5 + 8 * len(BESIDE)
REMOVAL = RESULTS / "removal/vgg16/original-bilinear/activity-0.h5"


def planned_with(folder: Path, override: dict) -> dict[str, int]:
    """The jobs planned when keys of the configuration have changed."""
    extra = folder / "override.yaml"
    extra.write_text(yaml.safe_dump(override))
    return planned_jobs(folder, *FAMILIES, str(extra))


@pytest.mark.parametrize("figure", [*FIGURES, "figP"])
def test_figures_are_drawn(finished, figure):
    picture = finished / RESULTS / f"figures/{figure}.png"
    assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 10  # not empty
    assert picture.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_findings_answer_every_claim(finished):
    table = pd.read_csv(finished / RESULTS / "findings.csv", dtype=str)
    assert table.claim.unique().tolist() == [claim.number for claim in CLAIMS]
    assert table[table.claim == "14a"].network.tolist() == ["VGG-16", "ResNet-50"]  # alone in both orders
    assert set(table.verdict) <= {"supported", "not supported", "undecided"}
    page = (finished / RESULTS / "findings.html").read_text()
    assert all(f">{claim.number}. " in page for claim in CLAIMS)


def test_report_is_written(finished):
    snakemake(finished, "report", "--cores", "2", *FAMILIES)
    assert "figS16" in (finished / RESULTS / "report.html").read_text()


def test_every_job_has_log_and_benchmark(finished):
    logs = {path.relative_to(finished / RESULTS / "logs") for path in (finished / RESULTS / "logs").rglob("*.log")}
    folder = finished / RESULTS / "benchmarks"
    benchmarks = {path.relative_to(folder).with_suffix(".log") for path in folder.rglob("*.tsv")}
    assert len(logs) > 50
    assert logs == benchmarks


def test_jobs_take_less_than_they_ask_for(finished):
    """Of memory, and of a tenth of the time: a cluster gives a job no more, and its cores may be slower."""
    plan = snakemake(finished, "--dry-run", "--forceall", *FAMILIES).stdout
    jobs = re.findall(r"benchmark: (\S+)(?s:.*?)resources: (.*)", plan)
    assert len(jobs) > 100
    for benchmark, resources in jobs:
        asked = {name: float(value) for name, value in re.findall(r"(\w+)=(\d+)", resources)}
        taken = pd.read_csv(finished / benchmark, sep="\t").iloc[0]
        assert taken.s < 6 * asked["runtime"], benchmark
        used = pd.to_numeric(taken.max_rss, errors="coerce")  # MiB; none of a job that ended before it was looked at
        assert pd.isna(used) or used * 1.049 < asked["mem_mb"], benchmark


def test_second_run_does_nothing(finished):
    assert "Nothing to be done" in snakemake(finished, "--cores", "2", *FAMILIES).stdout


def test_touching_files_reruns_nothing(finished):
    for path in (
        "scripts/extract_attributions.py",
        "scripts/explanations/data/images.py",
        "config/config.yaml",
        RESULTS / "models/vgg16/original.safetensors",
        RESULTS / "attributions/vgg16/original/0.h5",
        RESULTS / "manifest.csv",
    ):
        (finished / path).touch()
    assert planned_jobs(finished, *FAMILIES) == {}


def test_copied_results_are_taken_over(finished, tmp_path):
    """A fresh clone has no record of how results were made; --touch begins one, and later changes are noticed."""
    folder = copy_workflow(tmp_path)
    shutil.copytree(finished / RESULTS, folder / RESULTS)
    for path in [*folder.glob("scripts/**/*.py"), *folder.glob("workflow/**/*")]:
        path.touch()  # as git leaves them
    # not the lock, which names a process
    results = [path for path in (folder / RESULTS).rglob("[!.]*") if path.is_file()]
    before = {path: path.stat().st_size for path in results}
    assert planned_jobs(folder, *FAMILIES)["train"] == len(RUN)
    snakemake(folder, "--cores", "1", "--touch", *FAMILIES)
    assert planned_jobs(folder, *FAMILIES) == {}
    assert before.items() <= {path: path.stat().st_size for path in (folder / RESULTS).rglob("*")}.items()
    assert "train" not in planned_with(folder, {"removal": {"grid": 6}})
    assert planned_with(folder, {"removal": {"grid": 6}})["measure_removal"] == MEASURED


def test_a_plots_option_redraws_that_figure_alone(finished):
    assert planned_with(finished, {"figures": {"fig2": {"layer": 4}}}) == {"draw_fig2": 1}


def test_resolution_redraws_figures_alone(finished):
    jobs = planned_with(finished, {"figures": {"dpi": 50}})
    assert set(jobs) == {f"draw_{figure}" for figure in (*FIGURES, "figP")}


def test_a_plotting_script_redraws_its_figures_alone(finished):
    with edited(finished / "scripts/plot_correlations.py", lambda text: text + "# edited\n"):
        assert planned_jobs(finished, *FAMILIES) == {"draw_figS8": 1}


def test_the_surveys_keys_train_nothing(finished):
    jobs = planned_with(finished, {"survey": {"fits": 9}})
    draws = {f"draw_{figure}": 1 for figure in ("fig3", "figS1", "figS2", "figS3", "figS4", "figS5")}
    assert jobs == {"survey_network": len(RUN), "findings": 1, **draws}


def test_another_trial_of_decay_is_all_that_runs(finished):
    jobs = planned_with(finished, {"networks": {"resnet50": {"decay_trials": {"steps": [3, 4]}}}})
    assert jobs == {"decay_trial": 1, "draw_figS7": 1}


def test_removal_is_read_off_curves(finished):
    jobs = planned_with(finished, {"removal": {"curves": True}})
    assert jobs["measure_curves"] == jobs["read_flips"] and jobs["summarise_curves"] == 2
    assert not jobs.keys() & {"measure_removal", "extract_attributions"}


def test_single_patches_leave_removal_as_it_is(finished):
    jobs = planned_with(finished, {"removal": {"patches": 4}})
    assert jobs["measure_patches"] == jobs["correlate_patches"] > 0
    assert not jobs.keys() & {"measure_removal", "extract_attributions", "summarise_removal"}


@pytest.mark.parametrize("override", [{"removal": {"grid": 6}}, {"removal": {"noise_maps": 2}}])
def test_removals_keys_extract_nothing(finished, override):
    jobs = planned_with(finished, override)
    assert jobs["measure_removal"] == MEASURED
    assert not jobs.keys() & {"extract_attributions", "train", "decay_biases", "draw_fig2", "draw_fig4", "draw_figS8"}


def test_a_methods_code_measures_that_method_alone(finished):
    with edited(finished / "scripts/explanations/methods/gradcam.py", lambda text: text + "# edited\n"):
        jobs = planned_jobs(finished, *FAMILIES)
    assert jobs["measure_removal"] == 2 + len(BESIDE)  # once for each network, of its original
    assert jobs["summarise_removal"] == 2 + len(BESIDE) and "compare_biases" not in jobs
    assert not jobs.keys() & {
        "extract_attributions",
        "train",
        "decay_biases",
        "example_maps",
        "draw_fig5",
        "draw_figS9",
    }


def test_removals_code_extracts_nothing(finished):
    with edited(finished / "scripts/explanations/removal/scans.py", lambda text: text + "# edited\n"):
        jobs = planned_jobs(finished, *FAMILIES)
    assert jobs["measure_removal"] == MEASURED
    assert not jobs.keys() & {"extract_attributions", "train", "decay_biases", "draw_fig2"}


def test_extractions_code_trains_nothing(finished):
    with edited(finished / "scripts/explanations/decomposition/decomposition.py", lambda text: text + "# edited\n"):
        jobs = planned_jobs(finished, *FAMILIES)
    assert jobs["extract_attributions"] == 6 + len(BESIDE)
    assert not jobs.keys() & {"digit_images", "train", "decay_biases"}


def test_networks_of_torchvision_and_timm_go_all_the_way(finished):
    """Full networks, by name alone: trained, explained, measured, and in figure M and the zoo's."""
    training = {"epochs": 1, "batch": 20, "learning_rate": 0.01, "weight_decay": 0}
    networks = {name: {"explain": False} for name in BESIDE}
    networks["mobilenet_v3"] = {"source": "torchvision", "constructor": "mobilenet_v3_small", "arguments": {}}
    networks["timm_vit"] = {"source": "timm", "constructor": "test_vit", "arguments": {"img_size": 32}}
    for name in ("mobilenet_v3", "timm_vit"):
        networks[name] |= {"explain": True, "training": training}
    (finished / "mine.yaml").write_text(yaml.safe_dump({"networks": networks, "only": sorted({*RUN, *networks})}))
    figure = str(RESULTS / "figures/figM.png")
    survey = [str(RESULTS / f"survey/{name}/accuracy.csv") for name in ("mobilenet_v3", "timm_vit")]
    before = (finished / figure).read_bytes()
    try:
        snakemake(finished, figure, *survey, "--cores", "2", *FAMILIES, "mine.yaml")
        for name in ("mobilenet_v3", "timm_vit"):
            table = pd.read_csv(finished / RESULTS / f"statistics/{name}/aggregates-original-bilinear.csv")
            assert {"fullgrad", "all_layers", "noise"} <= set(table.family)
        assert (finished / figure).read_bytes() != before
    finally:
        snakemake(finished, "figM", "--cores", "2", *FAMILIES)
    assert (finished / figure).read_bytes() == before


def test_a_killed_step_runs_again_with_the_same_numbers(finished):
    result = finished / REMOVAL
    before = read_arrays(result)
    result.unlink()
    run = start_snakemake(finished, str(REMOVAL), "--cores", "2", *FAMILIES)
    wait_for_step(finished, "measure_removal.py", "measure_removal/vgg16-original-bilinear-activity-0").kill()
    assert run.wait(LONGEST) != 0
    assert not result.exists()
    snakemake(finished, str(REMOVAL), "--cores", "2", *FAMILIES)
    assert_same(before, read_arrays(result))


def test_a_killed_snakemake_continues_after_unlocking(finished):
    shard = RESULTS / "attributions/vgg16/original/0.h5"
    before = read_arrays(finished / shard)
    (finished / shard).unlink()
    run = start_snakemake(finished, str(shard), "--cores", "2", *FAMILIES)
    wait_for_step(finished, "extract_attributions.py", "extract_attributions/vgg16-original-0")
    kill_snakemake(run)
    assert not (finished / shard).exists()
    snakemake(finished, *FAMILIES, "--unlock")
    snakemake(finished, str(shard), "--cores", "2", *FAMILIES)
    assert_same(before, read_arrays(finished / shard))


def test_a_failing_step_is_shown_and_leaves_nothing(finished):
    network = finished / RESULTS / "models/vgg16/original.safetensors"
    shard = RESULTS / "attributions/vgg16/original/0.h5"
    before, status, arrays = network.read_bytes(), network.stat(), read_arrays(finished / shard)
    network.write_bytes(before[: len(before) // 2])
    try:
        result = snakemake(finished, str(shard), "--cores", "2", *FAMILIES, check=False)
    finally:
        network.write_bytes(before)
        os.utime(network, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert result.returncode != 0
    assert "extract_attributions.py: error: " in result.stdout
    assert "original.safetensors: truncated" in result.stdout
    assert not (finished / shard).exists()
    snakemake(finished, str(shard), "--cores", "2", *FAMILIES)
    assert_same(arrays, read_arrays(finished / shard))


def test_single_core_and_new_folder_give_the_same_numbers(finished, tmp_path):
    folder = copy_workflow(tmp_path)
    shard = RESULTS / "attributions/vgg16/original/0.h5"
    snakemake(folder, str(shard), "--cores", "1", *FAMILIES)
    assert_same(read_arrays(finished / shard), read_arrays(folder / shard))
