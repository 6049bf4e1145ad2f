"""Take networks that were trained before into a run, each checked.

In:  network files; records of decays.
Out: the same.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.errors import InputError
from explanations.files.writing import whole_file
from explanations.networks.files import load_network


def main(
    networks: list[Path], outputs: list[Path], records: Sequence[Path] = (), output_records: Sequence[Path] = ()
) -> None:
    for name, sources, targets in (("networks", networks, outputs), ("records", records, output_records)):
        if len(sources) != len(targets):
            raise InputError(f"--{name} are {len(sources)} files; there are {len(targets)} to write")
    described = [load_network(path)[1] for path in networks]
    for source, target in zip((*networks, *records), (*outputs, *output_records), strict=True):
        with whole_file(target) as path:
            shutil.copyfile(source, path)
    for path, description in zip(networks, described, strict=True):
        accuracy, images = (description.record[key] for key in ("accuracy", "test_images"))
        print(f"{path}: accuracy on {images} test images when it was trained: {accuracy:.4f}")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--networks", type=Path, nargs="+", required=True, help="network files")
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="network files to write, one for each")
    parser.add_argument("--records", type=Path, nargs="*", default=[], help="CSVs of decays")
    parser.add_argument("--output-records", type=Path, nargs="*", default=[], help="CSVs to write, one for each")
    run_command(parser, main)
