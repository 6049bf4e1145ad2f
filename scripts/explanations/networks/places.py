"""Where a network's weights are, as the configuration names it.

Needs the standard library alone: the workflow's plan uses it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from explanations.downloads.addresses import shown
from explanations.errors import InputError
from explanations.files.packages import Package


@dataclass(frozen=True)
class Place:
    """Where weights are, if not where they are published: at an address, on disk or a server's, or in a package.

    `sha256` is the file's, or the package's; `file` the path of the weights' file in the package.
    """

    url: str = ""
    sha256: str = ""
    package: str = ""
    version: str = ""
    file: str = ""

    @classmethod
    def named(cls, weights: Mapping) -> "Place":
        """The place that a configuration's `weights` name; its other keys say what else there is to know of them."""
        return cls(**{field.name: weights[field.name] for field in fields(cls) if field.name in weights})

    def __str__(self) -> str:
        """As messages and network files name it; nothing of the published place."""
        return f"{self.packaged}: {self.file}" if self.package else shown(self.url)

    @property
    def packaged(self) -> Package:
        """The package that the weights are in."""
        return Package(self.package, self.version, self.sha256)

    def __bool__(self) -> bool:
        """Whether weights are elsewhere than where they are published."""
        return bool(self.url or self.package)

    def check(self) -> None:
        """InputError if a package is named in part, or an address beside it."""
        if not self.package:
            extra = [key for key in ("version", "file") if getattr(self, key)]
            if extra:
                raise InputError(f"weights.package is missing; weights.{extra[0]} goes with it")
            return
        lacking = [key for key in ("version", "sha256", "file") if not getattr(self, key)]
        if lacking:
            raise InputError(f"weights.{lacking[0]} is missing; weights.package goes with version, sha256 and file")
        if self.url:
            raise InputError(
                f"weights.url is {shown(self.url)}; weights.package is another place: allowed is one of both"
            )
