"""What a picture is like at a glance, from the decode that is there anyway."""

from __future__ import annotations

from base64 import b64encode

import pyvips

from imgsvc.domain.rendering import AnalysisFacts
from imgsvc.imaging.dominant import find_dominant_colour
from imgsvc.imaging.miniature import take_miniature
from imgsvc.imaging.thumbhash import encode_thumbhash
from imgsvc.imaging.translation import making
from imgsvc.recipes.sizes import Size


def analyse(base: pyvips.Image, shape: Size) -> AnalysisFacts:
    """base: the shared decode, which has an alpha only where some pixel is not opaque.

    shape: size of the upright source; the base may be of another ratio. Raises ImageError
    with out_of_memory.
    """
    with making():
        miniature = take_miniature(base, shape)
        has_alpha = bool(base.hasalpha())
    return AnalysisFacts(
        dominant_colour=find_dominant_colour(miniature),
        has_alpha=has_alpha,
        thumbhash=b64encode(encode_thumbhash(miniature, shape)).decode(),
    )
