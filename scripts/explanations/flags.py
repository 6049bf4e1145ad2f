"""Settings as dataclasses: every field is a flag of a step's command line, and the step's `main` gets one object."""

import argparse
import ast
from collections.abc import Callable
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any, get_args, get_type_hints


def flag(text: str, default: Any = MISSING, **options: Any) -> Any:
    """A dataclass's field that is a flag, with its help text.

    A flag without a default must be given. `options` are other ones of argparse's add_argument, such as choices.
    """
    return field(default=default, metadata={"help": text, **options})


def add_flags(parser: argparse.ArgumentParser, main: Callable) -> None:
    """Add a flag for every field of `main`'s settings: the field noise_maps is the flag --noise-maps."""
    for kind in find_settings(main).values():
        for each in fields(kind):
            needed = {"required": True} if each.default is MISSING else {"default": each.default}
            kind_of_value = next(iter(get_args(each.type)), each.type)  # of each in a sequence, or beside None
            parser.add_argument(
                f"--{each.name.replace('_', '-')}", **{"type": kind_of_value, **needed, **each.metadata}
            )


def call_with_flags(main: Callable, flags: dict[str, Any]) -> None:
    """Call `main` with flags by name; each of its settings is one object, made of the flags of its fields.

    A flag that isn't given is its field's default.
    """
    settings = find_settings(main)
    gathered = {each.name for kind in settings.values() for each in fields(kind)}
    others = {name: value for name, value in flags.items() if name not in gathered}
    made = {
        name: kind(**{each.name: flags[each.name] for each in fields(kind) if each.name in flags})
        for name, kind in settings.items()
    }
    main(**others, **made)


def find_settings(main: Callable) -> dict[str, type]:
    """The parameters of `main` that are settings, by name: dataclasses whose fields are flags."""
    hints = get_type_hints(main).items()
    return {name: kind for name, kind in hints if is_dataclass(kind) and all(each.metadata for each in fields(kind))}


def dictionary(text: str) -> dict:
    """A flag's value that is a dictionary."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text} is not a dictionary such as {{'width': 0.125}}")
    return value
