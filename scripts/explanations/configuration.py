"""Whether a configuration fits its schema, and can stand in the commands that are made of it; whether a folder can.

For the workflow's plan: it needs jsonschema, which Snakemake brings along.
"""

import datetime
import json
import math
from collections.abc import Iterator

import jsonschema

from explanations.downloads.addresses import shown
from explanations.errors import InputError
from explanations.text import is_one_line

# what YAML makes of text that isn't in quotes, such as 2024, no, null and 2024-05-01
UNQUOTED = {bool: "a truth value", int: "a number", float: "a number", type(None): "nothing"}
UNQUOTED |= {datetime.date: "a date", datetime.datetime: "a date"}
LONGEST = 120_000  # bytes: Linux gives a program no argument of more than 131072
# Snakemake puts a folder's name, and what --config says, between double quotes in some commands: a shell reads these
READ_BY_SHELL = "$`\\"
UNSAFE = f'{{}}"{READ_BY_SHELL}'  # in a folder's name; Snakemake fills in its braces


def check_config(config: dict, schema: dict) -> None:
    """InputError, one line that names the key, its value and what is allowed, unless a configuration can be used."""
    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    error = min(errors, key=lambda found: [str(part) for part in found.absolute_path], default=None)
    if error is not None:
        raise InputError(_describe(error))
    for key, value in walk_values(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{key} is {value}; allowed is a number that is finite")
        if isinstance(value, str) and not is_one_line(value):
            raise InputError(
                f"{key} is {shown(value)!r}; allowed is text without line breaks and other control characters"
            )
    length = len(json.dumps(config))
    if length > LONGEST:
        raise InputError(f"it is {length} bytes long; allowed are {LONGEST}: long lists of classes can be files")


def _describe(error: jsonschema.ValidationError) -> str:
    """What is wrong, in one line."""
    key = ".".join(str(part) for part in error.absolute_path)
    known = ", ".join(error.schema.get("properties", {}))
    kind = UNQUOTED.get(type(error.instance))
    quoted = f'in quotes: "{error.instance}"' if kind in ("a number", "a date") else "in quotes"
    if "propertyNames" in error.absolute_schema_path:  # it is a key that is wrong
        name = error.instance if str(error.instance).isprintable() else repr(error.instance)
        written = f"; this one is {kind}, write it {quoted}" if kind else ""
        return f"{key}.{name}: {error.schema['description']}{written}"
    if error.validator == "additionalProperties":
        unknown = sorted(str(found) for found in error.instance if found not in error.schema["properties"])
        names = ", ".join(name if name.isprintable() else repr(name) for name in unknown)
        return f"{f'{key}.{names}' if key else names} is not a known key; allowed are {known}"
    if error.validator == "required":
        takes = f"; it takes {known}" if known else ""
        return f"{key or 'the top level'}: {error.message}{takes}"
    mapping = f"a mapping of {known}" if known and error.validator == "type" else error.message
    allowed = error.schema.get("description", mapping)
    if kind and error.schema.get("type") == "string":
        return f"{key} is {error.instance}, {kind}; allowed is {allowed}, {quoted}"
    return f"{key} is {error.instance!r}; allowed is {allowed}"


def walk_values(values: object, key: str = "") -> Iterator[tuple[str, object]]:
    """All values in mappings and lists, each with its key, `images.folder`; a mapping's keys are values too."""
    if isinstance(values, dict):
        yield from ((f"{key}, a key in it," if key else "a key", name) for name in values)
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else None
    if items is None:
        yield key, values
        return
    for part, value in items:
        yield from walk_values(value, f"{key}.{part}" if key else str(part))


def check_folder(folder: str, also: str = "") -> None:
    """InputError unless a working folder's name can stand in Snakemake's commands; `also` are letters that can't."""
    unsafe = UNSAFE + also
    if set(folder).isdisjoint(unsafe) and is_one_line(folder):
        return
    name = folder if folder.isprintable() else repr(folder)
    raise InputError(f"the working folder is {name}; allowed is a path without {' '.join(unsafe)} and line breaks")


def check_argument(text: str) -> None:
    """InputError if what --config says can't stand in the commands of jobs, to which Snakemake hands it."""
    if not set(text).isdisjoint(READ_BY_SHELL) or not is_one_line(text):
        unsafe = " ".join(READ_BY_SHELL)
        raise InputError(f"--config is {text!r}; allowed is text without {unsafe} and line breaks, or --configfile")
