"""Keep the networks that a run trained, as `trained` takes them: `make networks`.

From results/<experiment> to <folder>/<network>: what was trained, its decayed variant and its decay's record; of
trials of decay the record and the recipe.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from explanations.networks.trained import read_recipe

VARIANTS = ("original", "decayed")


def main(results: Path, folder: Path) -> None:
    """Copy what says what it was trained by; nothing else is taken."""
    for network in sorted((results / "models").iterdir()):
        kept = folder / network.name
        for variant in VARIANTS:
            path = network / f"{variant}.safetensors"
            if not path.is_file() or read_recipe(path) is None:
                continue
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept / path.name)
            if variant == "decayed":
                shutil.copyfile(results / "decay" / network.name / "decayed.csv", kept / "decayed.csv")
            print(f"{kept / path.name}: {path.stat().st_size / 1e6:.1f} MB")
        keep_trials(results / "decay" / network.name, kept)


def keep_trials(trials: Path, kept: Path) -> None:
    """The records of a network's trials of decay, and what they were made by."""
    for path in sorted(trials.glob("*.safetensors")):
        if recipe := read_recipe(path):
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.with_suffix(".csv"), kept / f"{path.stem}.csv")
            (kept / f"{path.stem}.json").write_text(json.dumps(recipe, indent=1, sort_keys=True) + "\n")
            print(f"{kept / path.stem}.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder of the run, results/<experiment>")
    parser.add_argument("--folder", type=Path, default=Path("resources/networks"))
    main(**vars(parser.parse_args()))
