"""Take a file that was trained before into a run: a network, whose weights are checked, or the record of a decay.

In:  a network file, or a record (CSV).
Out: the same.
"""

import shutil
from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.files.descriptions import read_description
from explanations.files.metadata import check_weights
from explanations.files.writing import whole_file

REMEDY = "`make networks` makes it anew"


def main(source: Path, output: Path) -> None:
    if source.suffix != ".csv":  # records are checked by those that read them
        record = read_description(source).record
        check_weights(source, REMEDY)
        print(f"accuracy on {record['test_images']} test images when it was trained: {record['accuracy']:.4f}")
    with whole_file(output) as path:
        shutil.copyfile(source, path)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="network file, or record of a decay")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    run_command(parser, main)
