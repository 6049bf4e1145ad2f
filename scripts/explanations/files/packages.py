"""What names a Python package as a source of data: a wheel of some name and version, known by its hash.

Needs the standard library alone: the workflow's plan uses it too.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """A package that is fetched as data; `sha256` is its wheel's, in hexadecimal."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        """As errors name it."""
        return f"package {self.name} {self.version}"

    @property
    def file_name(self) -> str:
        """What its wheel is called where it is kept: no two packages have the same."""
        return f"{re.sub(r'[^a-z0-9]+', '_', self.name.lower())}-{self.version}-{self.sha256[:8]}.whl"
