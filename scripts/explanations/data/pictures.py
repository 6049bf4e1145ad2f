"""Images of any number of channels as figures show them."""

import numpy as np


def as_rgb(images: np.ndarray) -> np.ndarray:
    """(…, C, H, W) uint8 images, grey, RGB or RGBA, as (…, H, W, 3); what is transparent is white."""
    images = np.moveaxis(images, -3, -1)
    if images.shape[-1] == 1:
        return np.repeat(images, 3, -1)
    if images.shape[-1] == 4:
        opaque = images[..., 3:] / 255
        return np.rint(images[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return images
