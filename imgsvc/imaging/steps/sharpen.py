"""Bring edges out."""

from __future__ import annotations

import pyvips

from imgsvc.imaging.plan import VariantPlan

_USUAL_SIGMA = 0.5
"""libvips' own: for pictures that were made smaller to be seen on a screen."""

_LARGEST_SIGMA = 10.0
"""What libvips takes; beyond it an edge is a region."""

_MOSTLY_OPAQUE = 128
"""Below it eight bits say little of a colour."""


def sharpen(image: pyvips.Image, plan: VariantPlan) -> pyvips.Image:
    """Unsharp masking of lightness alone, so that no edge gains a colour."""
    asked = plan.variant.sharpen
    if asked is False:
        return image
    sigma = _USUAL_SIGMA if asked is True else min(asked, _LARGEST_SIGMA)
    if not image.hasalpha():
        return image.sharpen(sigma=sigma)
    colours = _spread_colours(image, sigma).sharpen(sigma=sigma)
    return colours.bandjoin(image.extract_band(image.bands - 1))


def _spread_colours(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """The colours without alpha; into what is transparent those beside it are carried on, as
    far as sharpening looks, or every cut-out would get a rim.
    """
    alpha = image.extract_band(image.bands - 1)
    spread = image.premultiply().gaussblur(2 * sigma).unpremultiply().rint().cast(image.format)
    chosen = (alpha >= _MOSTLY_OPAQUE).ifthenelse(image, spread)
    chosen = chosen.copy(interpretation=image.interpretation)
    return chosen.extract_band(0, n=image.bands - 1)
