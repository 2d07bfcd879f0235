"""The recipe as it is written down: every field, its limits and its default.

Strict: a bool is not a number, a string is not a number, unknown fields are refused.
null is taken where the default is null, and means the default.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from pydantic import field_validator as validates
from pydantic import model_validator as validates_whole
from pydantic_core import PydanticCustomError

MAX_VARIANTS = 32
MAX_SIDE = 16384
MAX_SOURCE_SIDE = 10_000_000
"""No decoder goes beyond it (libvips' VIPS_MAX_COORD was that for many years)."""
MAX_MAX_BYTES = (1 << 53) - 1
"""Any file is smaller; beyond it programs disagree about a JSON number (RFC 8259, 6)."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,39}\z"
_SHA256_PATTERN = r"^[0-9a-f]{64}\z"
_COLOUR_PATTERN = r"^#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})\z"

Mode = Literal["fit", "fill", "pad", "force"]
Format = Literal["webp", "jpeg", "png", "avif", "gif", "tiff", "same"]
NamedGravity = Literal[
    "centre",
    "north",
    "northeast",
    "east",
    "southeast",
    "south",
    "southwest",
    "west",
    "northwest",
    "attention",
    "entropy",
]

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Sigma = Annotated[float, Field(ge=0.3, le=100.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Point(_Part):
    """A point of the picture: 0, 0 is its upper left corner, 1, 1 its lower right."""

    x: Share
    y: Share


class Crop(_Part):
    """A rectangle in source pixels, after orientation."""

    left: Annotated[int, Field(ge=0, le=MAX_SOURCE_SIDE)]
    top: Annotated[int, Field(ge=0, le=MAX_SOURCE_SIDE)]
    width: Annotated[int, Field(ge=1, le=MAX_SOURCE_SIDE)]
    height: Annotated[int, Field(ge=1, le=MAX_SOURCE_SIDE)]


def _without_hyphen(value: Any) -> Any:
    """`north-east` is the same as `northeast`."""
    if isinstance(value, str) and value.startswith(("north-", "south-")):
        return value.replace("-", "", 1)
    return value


def _kind_of_gravity(value: Any) -> str:
    return "<point>" if isinstance(value, dict | Point) else "<name>"


# tags become part of error locations, so they must not look like fields
Gravity = Annotated[
    Annotated[NamedGravity, BeforeValidator(_without_hyphen), Tag("<name>")]
    | Annotated[Point, Tag("<point>")],
    Discriminator(_kind_of_gravity),
]


def _with_plain_breaks(value: Any) -> Any:
    """A form's line break is a line break."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


_UNWRITABLE = frozenset({"Cc", "Cs"})
"""Unicode's categories of control characters, and of halves of a character."""


def _check_legible(text: str) -> str:
    kinds = {unicodedata.category(character) for character in text.replace("\n", "")}
    if not kinds.isdisjoint(_UNWRITABLE):
        raise PydanticCustomError("control", "should have no control characters but line breaks")
    if all(kind[0] == "Z" or kind == "Cf" for kind in kinds):
        raise PydanticCustomError("blank", "should have something to be seen")
    return text


class Watermark(_Part):
    """A picture kept on the server, or a text, laid over the variant.

    scale: its width as a share of the variant's; margin: pixels to the edge.
    sha256: the content that `preset_image` had when the job was submitted; set here alone,
        and never taken from outside.
    """

    preset_image: Name | None = None
    text: (
        Annotated[
            str,
            BeforeValidator(_with_plain_breaks),
            Field(min_length=1, max_length=500),
            AfterValidator(_check_legible),
        ]
        | None
    ) = None
    gravity: Gravity = "southeast"
    opacity: Share = 0.5
    scale: Share = 0.25
    margin: Annotated[int, Field(ge=0, le=MAX_SIDE)] = 16
    sha256: Annotated[str, Field(pattern=_SHA256_PATTERN)] | None = None

    @validates("gravity")
    @classmethod
    def _has_a_place(cls, value: Gravity) -> Gravity:
        """Nothing is looked for in the picture: a mark stands where it is put."""
        if value in ("attention", "entropy"):
            raise PydanticCustomError("gravity", "must be a compass point or a point")
        return value

    @validates_whole(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.preset_image is None) == (self.text is None):
            raise PydanticCustomError("one_of", "give either preset_image or text")
        return self


class Variant(_Part):
    """One output to make from every image of the job.

    width, height: None follows the ratio; both None keeps the size.
    trim: True for the usual threshold, None (which False becomes) for off.
    sharpen: True for the usual setting.
    quality: None is the format's own default. effort: None is the encoder's own default.
    max_bytes: None for no limit. animation: None is all where the format can, else first.
    """

    name: Name
    width: Side | None = None
    height: Side | None = None
    mode: Mode = "fit"
    enlarge: bool = False
    gravity: Gravity = "centre"
    crop: Crop | None = None
    trim: bool | Annotated[int, Field(ge=0, le=255)] | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    flip: bool = False
    flop: bool = False
    background: Annotated[str, Field(pattern=_COLOUR_PATTERN)] = "#ffffff"
    grayscale: bool = False
    blur: Sigma | None = None
    sharpen: bool | Sigma = False
    watermark: Watermark | None = None
    format: Format = "same"
    quality: Annotated[int, Field(ge=1, le=100)] | None = None
    lossless: bool = False
    effort: Annotated[int, Field(ge=0, le=9)] | None = None
    progressive: bool = False
    max_bytes: Annotated[int, Field(ge=1024, le=MAX_MAX_BYTES)] | None = None
    metadata: Literal["none", "copyright", "all"] = "none"
    animation: Literal["first", "all"] | None = None

    @validates("trim", mode="before")
    @classmethod
    def _is_off_by_none(cls, value: Any) -> Any:
        """False equals 0, which is a threshold."""
        return None if value is False else value

    @validates("rotate", mode="before")
    @classmethod
    def _is_no_bool(cls, value: Any) -> Any:
        """False equals 0, and a literal is compared by equality."""
        if isinstance(value, bool | float):
            raise PydanticCustomError("rotate", "must be 0, 90, 180 or 270")
        return value


class Recipe(_Part):
    """What to make of every image of a job."""

    # a JSON array arrives as a list, which strictness would refuse for a tuple
    variants: Annotated[tuple[Variant, ...], Field(strict=False)]

    @validates("variants", mode="before")
    @classmethod
    def _are_neither_none_nor_many(cls, value: Any) -> Any:
        """Counted first, so that a million variants cost nothing."""
        if not isinstance(value, list | tuple):
            raise PydanticCustomError("array", "must be an array of variants")
        if not 1 <= len(value) <= MAX_VARIANTS:
            raise PydanticCustomError("count", f"must hold 1 to {MAX_VARIANTS} variants")
        return value


def canonical_json(recipe: Recipe) -> str:
    """The one text of a recipe: fields in the model's order, defaults left out."""
    return recipe.model_dump_json(exclude_defaults=True)


@lru_cache(maxsize=64)
def load_recipe(text: str) -> Recipe:
    """The recipe that `canonical_json` wrote. Raises pydantic.ValidationError otherwise."""
    return Recipe.model_validate_json(text)
