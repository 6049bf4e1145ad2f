"""ROAD's noisy linear imputation: a removed pixel becomes the mean of its neighbours, with noise (Rong et al., 2022).

“A Consistent and Efficient Evaluation Strategy for Attribution Methods”, section 4.2: direct neighbours weigh 1/6,
diagonal ones 1/12, at borders those that there are as shares of their sum; all removed pixels' equations hold together.
Noise is of pixels from 0 to 1, before normalisation, as in the authors' code.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explanations.removal.imputation import impute
from explanations.removal.operators.base import COLOURS, Operator, Pictures, Removal

TOLERANCE = 2e-4  # of pixels from 0 to 1: a fiftieth of the usual noise, a twentieth of a step of 8 bits


def make(pictures: Pictures, noise: float) -> Operator:
    """Removal that imputes, with Gaussian noise of standard deviation `noise`."""
    scale = 1 / pictures.std
    drawn = draw_noise(pictures).to(pictures.inputs) * (noise * scale)
    drawn[..., COLOURS:] = 0
    return Imputation(drawn, TOLERANCE * float(scale.min()))


def draw_noise(pictures: Pictures) -> Tensor:
    """Each image's own noise, (N, H·W, C) f4 of deviation 1, by its number: shards and batches don't matter.

    A pixel's is the same at all steps, in both orders and for all methods, whose results differ the less by chance.
    """
    channels, height, width = pictures.inputs.shape[1:]
    shape = (height * width, channels)
    rngs = [np.random.default_rng([pictures.seed, 4, number]) for number in pictures.numbers]
    return torch.from_numpy(np.stack([rng.standard_normal(shape, np.float32) for rng in rngs]))


@dataclass(frozen=True)
class Imputation:
    """Removed pixels become their neighbours' mean and noise; without any neighbour, 0, the mean colour, and noise."""

    noise: Tensor  # (N, H·W, C)
    tolerance: float  # in the network's input space

    def remove(self, removal: Removal, pixels: Tensor) -> None:
        """Solve for all removed pixels, from what the step before left, and write them again."""
        removed = removal.removed()  # (n, H·W)
        noise = self.noise[removal.rows]
        noise *= removed[..., None]
        start = removal.images.sub_(noise)  # also where there is none yet, which makes a start as good
        planes = start.transpose(1, 2).unflatten(2, removal.size)  # (n, C, H, W)
        imputed = impute(planes, removed.unflatten(1, removal.size), self.tolerance)
        removal.images.copy_(imputed.flatten(2).transpose(1, 2)).add_(noise)
