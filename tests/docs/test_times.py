"""Times are those of the jobs that a dry run plans."""

import math

import pytest

import gather_times
from explanations.run_messages import UNKNOWN, Durations
from gather_times import cpu_seconds

LISTED = "all (all figures)\nfig2 (one image)\nremoval (removal of pixels)\n"
LISTED += "figP (figP can't be made: figures.figP.methods names no network)\n"
PLANNED = """
rule train:
    wildcards: network=vgg16
    input: scripts/train.py
    output: results/embedded/models/vgg16/original.safetensors
    benchmark: results/embedded/benchmarks/train/vgg16.tsv
    resources: tmpdir=/tmp, runtime=60, mem_mb=2000, mem=2 GB, mem_mib=1908
rule extract:
    input: results/embedded/models/vgg16/original.safetensors
    output: results/embedded/attributions/vgg16/original/0.h5
    benchmark: results/embedded/benchmarks/extract/0.tsv
    wildcards: network=vgg16, variant=original, method=gradient, shard=0
    resources: tmpdir=/tmp, runtime=10, mem_mb=500
rule extract:
    input: results/embedded/models/vgg16/original.safetensors
    output: results/embedded/attributions/vgg16/original/1.h5
    benchmark: results/embedded/benchmarks/extract/1.tsv
    wildcards: network=vgg16, variant=original, method=gradient, shard=1
    resources: tmpdir=/tmp, runtime=10, mem_mb=600
rule draw_fig2:
    input: results/embedded/attributions/vgg16/original/0.h5
    output: results/embedded/figures/fig2.pdf, results/embedded/figures/fig2.png
    benchmark: results/embedded/benchmarks/draw_fig2.tsv
    resources: tmpdir=/tmp, runtime=10, mem_mb=500
localrule fig2:
    input: results/embedded/figures/fig2.pdf, results/embedded/figures/fig2.png
localrule removal:
    input: results/embedded/attributions/vgg16/original/0.h5, results/embedded/attributions/vgg16/original/1.h5
"""
SECONDS = {  # duration, memory, CPU time at the last look, 0 of a job too short for one
    **{"train/vgg16": "150.0\t800\t70.0", "extract/0": "20.4\t300\t20.4"},
    **{"extract/1": "30\t100\t30", "draw_fig2": "1.2\tNA\t0.0"},
}


@pytest.fixture
def times(tmp_path, monkeypatch):
    for name, measured in SECONDS.items():
        path = tmp_path / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{measured}\n")
    monkeypatch.setattr(gather_times, "dry_run", lambda *asked: LISTED if asked == ("--list",) else PLANNED)
    return gather_times.gather_times(tmp_path)


def test_a_target_takes_what_it_needs(times):
    stages = {"stages": ["networks", "attributions"], "networks": ["vgg16"]}
    assert times["targets"] == {
        "fig2": {"title": "one image", **stages, "seconds": 122},
        "removal": {"title": "removal of pixels", **stages, "seconds": 150},
    }
    assert times["whole"] == {"seconds": 152, "memory": 839}


def test_rules_take_at_most(times):
    rows = {row["rule"]: row for row in times["jobs"]}
    assert list(rows) == ["draw_fig2", "extract", "train"]
    longest = {"rule": "extract", "jobs": 2, "seconds": 30.0, "memory": 315, "minutes": 10, "asked_memory": 600}
    assert rows["extract"] == longest
    assert rows["draw_fig2"]["memory"] is None


def test_durations_are_kept_by_kind(times, tmp_path):
    measured = gather_times.measure_durations(tmp_path)
    extracted = ("extract", "vgg16", "gradient")
    assert measured == {("train", "vgg16", ""): 100, extracted: (20.4 + 30) / 2, ("draw_fig2", "", ""): 1.2}
    table = tmp_path / "durations.csv"
    table.write_text("rule,network,method,seconds\ntrain,vgg16,,5.0\nsurvey,lite0,,7.25\n")
    gather_times.update_durations(table, measured)
    known = Durations.read(table)
    assert known.expect(("train", "vgg16", "")) == 100 and known.expect(("survey", "lite0", "")) == 7.2
    assert known.expect(("draw_fig2", "", "")) == 1.2 and known.expect(extracted) == 25.2
    assert known.expect(("train", "resnet50", "")) == 100  # of the same rule, where nothing nearer is known
    assert known.expect(("extract", "vgg16", "input")) == 25.2
    assert known.expect(("other", "", "")) == UNKNOWN


@pytest.mark.parametrize(
    ("seen", "duration", "seconds"),
    [(80.0, 100.0, 100.0), (80.0, 200.0, 110.0), (20.0, 10.0, 20.0), (0.0, 1.5, 1.5), (math.nan, 1.5, 1.5)],
)
def test_cpu_time_behind_the_last_look(seen, duration, seconds):
    assert cpu_seconds(seen, duration) == seconds
