"""Bring edges out."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan

_USUAL_SIGMA = 0.5
"""libvips' own: for pictures that were made smaller to be seen on a screen."""

_LARGEST_SIGMA = 10.0
"""What libvips takes; beyond it an edge is a region."""


def sharpen(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """Unsharp masking of lightness alone, so that no edge gains a colour."""
    asked = plan.variant.sharpen
    if asked is False:
        return image
    sigma = _USUAL_SIGMA if asked is True else min(asked, _LARGEST_SIGMA)
    return image.sharpen(sigma=sigma)
