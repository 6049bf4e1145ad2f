#!/bin/sh
# What a GPU makes of this code, in at most eight minutes: the tests that need one, rates of passes, of removal's engine,
# of extraction and decay (gpu.py), and removal of photographs in each precision, whose flips must be float32's.
#
#   benchmarks/gpu.sh OUTPUT [RUN IMAGES]
#
# OUTPUT is a folder to write. RUN is one in which lite0's network and the manifest of config/photographs.yaml are:
#   snakemake --cores 1 --configfile config/photographs.yaml \
#     results/photographs/models/lite0/original.safetensors results/photographs/manifest.csv
# and IMAGES the folder that its test images were unpacked to, data/ai_benchmark-…/val. Without them there is no removal.
# Needs torch, torchvision, timm, h5py, pandas, seaborn and pytest; no Snakemake and no network connection.
set -eu
output=$1 run=${2-} images=${3-}
python=${PYTHON:-python3}
here=$(dirname "$0")
mkdir -p "$output"
echo "== tests"
"$python" -m pytest -q -p no:cacheprovider "$here/../tests/workflow/test_gpu.py" || echo "tests failed"
if test -n "$run"; then
  echo "== removal"
  "$python" -W ignore "$here/gpu_removal.py" --output "$output" --run "$run" --images "$images"
fi
echo "== rates"
"$python" -W ignore "$here/gpu.py" --output "$output" ${GPU_FLAGS-}
