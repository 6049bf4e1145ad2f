"""Where objects are, as a step reads it: the files that maps are held against masks by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explanations.data.masks import read_mask
from explanations.files.descriptions import read_description
from explanations.files.hashes import file_hash
from explanations.files.manifests import read_manifest
from explanations.files.shards import ShardReader
from explanations.flags import flag
from explanations.localisation.methods import measure_method
from explanations.methods.makers import list_makers
from explanations.methods.transform import UPSAMPLINGS


@dataclass(frozen=True)
class Truth:
    """Files of maps, of their network and images, and of masks; without a folder of masks nothing is known."""

    network: Path = flag("network file")
    shards: Sequence[Path] = flag("attribution shards of the network", nargs="+")
    manifest: Path = flag("of the images that are evaluated")
    maps: Sequence[Path] = flag("files of maps of methods of their own", (), nargs="*")
    masks: Sequence[Path] = flag("folder that the manifest's paths are below, if there is one", (), nargs="*")
    methods: Sequence[str] = flag("kinds of methods: gradient activity …", (), nargs="*")
    upsampling: str = flag("of maps to the images' size", "bilinear", choices=UPSAMPLINGS)

    def measure(self, images: Sequence[int]) -> dict[str, dict[str, np.ndarray]]:
        """All measures of localisation of the methods' maps of images, by measure and method, (n,) each.

        Empty without masks. NaN for an image whose object lies outside what the network sees.
        """
        if not self.masks:
            return {}
        rows, description = read_manifest(self.manifest), read_description(self.network)
        found: dict[str, dict[str, np.ndarray]] = {}
        with ShardReader(self.shards, file_hash(self.network)) as reader:
            reader.check_manifest(rows, self.manifest)
            inside = np.stack([read_mask(rows[image], self.masks[0], description.framing) for image in images])
            for method, make in list_makers("localisation", reader, self.methods, self.maps, self.upsampling):
                for measure, values in measure_method(make, images, inside).items():
                    found.setdefault(measure, {})[method] = values
        return found
