"""Read the results of removal off whole removals: where each scan flips, and e there.

In:  a file of curves, whose decisions are float32's.
Out: the result file of removal that measure_removal writes of the same images, maps and settings, without its passes.
"""

from pathlib import Path

from explanations.command import run_command, step_parser
from explanations.errors import InputError
from explanations.files.curves import read_file
from explanations.files.measurements import arrange_flips, write_measurements


def main(curves: Path, output: Path) -> None:
    arrays, settings = read_file(curves)
    methods, precision = settings.pop("methods"), settings.pop("precision")
    if precision != "float32":
        raise InputError(f"{curves}: precision is {precision}; allowed is float32: others' decisions aren't checked")
    ends = arrange_flips(arrays["flip"], arrays["e"], settings["orders"])
    write_measurements(output, methods, {"image": arrays["image"], "label": arrays["label"], **ends}, settings)


if __name__ == "__main__":
    parser = step_parser(__doc__)
    parser.add_argument("--curves", type=Path, required=True, help="file of curves")
    parser.add_argument("--output", type=Path, required=True, help="result file to write")
    run_command(parser, main)
