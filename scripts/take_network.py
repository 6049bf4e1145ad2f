"""Take a network that was trained before into a run, checked.

In:  a network file; of a decayed one, its decay's record too.
Out: the same.
"""

import shutil
from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.files.writing import whole_file
from explanations.networks.files import load_network


def main(network: Path, output: Path, record: Path | None = None, output_record: Path | None = None) -> None:
    _, description = load_network(network)
    for source, target in ((network, output), (record, output_record)):
        if source and target:
            with whole_file(target) as path:
                shutil.copyfile(source, path)
    accuracy, images = (description.record[key] for key in ("accuracy", "test_images"))
    print(f"{network}: accuracy on {images} test images when it was trained: {accuracy:.4f}")


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="network file")
    parser.add_argument("--record", type=Path, help="CSV of its decay")
    parser.add_argument("--output", type=Path, required=True, help="network file to write")
    parser.add_argument("--output-record", type=Path, help="CSV to write")
    run_command(parser, main)
