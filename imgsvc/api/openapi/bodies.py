"""What requests carry, by media type."""

from __future__ import annotations

from typing import Any

from imgsvc.api.dialects.operations import MODES
from imgsvc.api.openapi import examples
from imgsvc.api.openapi.inputs import query_fields
from imgsvc.api.openapi.vocabulary import BYTES, TEXT, Schema, array, choice, ref, said, shown
from imgsvc.api.product_lists import LIST_TYPE
from imgsvc.config import LimitSettings
from imgsvc.intake.product_list import MAX_LIST_BYTES
from imgsvc.intake.spec import FORM_FIELDS
from imgsvc.recipes.model import MAX_SIDE, Format

FORM = "multipart/form-data"
JSON = "application/json"
_IMAGE: Schema = {"schema": BYTES}
_FILE = said(BYTES, "A part with a filename, whatever its field is called.")


def _body(content: Schema, text: str, *, required: bool = True) -> Schema:
    return {"description": text, "required": required, "content": content}


def json_body(schema: Schema, example: Any, text: str, *, required: bool = True) -> Schema:
    return _body({JSON: {"schema": schema, "example": example}}, text, required=required)


def image_body(text: str, *, with_form: bool) -> Schema:
    """One image, as it is, or in a form."""
    content: Schema = {"image/*": _IMAGE, "application/octet-stream": _IMAGE}
    if with_form:
        content[FORM] = {"schema": form({}, files=1)}
    return _body(content, text)


def submit_body(limits: LimitSettings) -> Schema:
    fields = query_fields()
    simple = {name: fields[name] for name in FORM_FIELDS}
    spec = said(ref("JobSpec"), "Everything but images; then no simple field beside it.")
    content = {
        FORM: {
            "schema": form({"spec": spec, **simple}, files=0),
            "encoding": {"spec": {"contentType": JSON}},
        },
        JSON: {"schema": ref("JobSpec"), "example": examples.JOB_SPEC},
        "image/*": _IMAGE,
        "application/octet-stream": _IMAGE,
        LIST_TYPE: {"schema": TEXT, "example": examples.PRODUCT_LIST},
    }
    return _body(
        content,
        "Images as a form, as JSON, or one as the body itself; or a product list, a CSV with URLs "
        f"of images in its cells. An image has at most {limits.max_image_bytes} bytes, a JSON body "
        f"{limits.max_json_bytes}, a list {MAX_LIST_BYTES}, everything else "
        f"{limits.max_request_bytes}. gzip and deflate are taken as content codings.",
    )


def append_body(limits: LimitSettings) -> Schema:
    images = {**array(ref("ImageSpec")), "minItems": 1, "maxItems": limits.max_images_per_job}
    document: Schema = {
        "type": "object",
        "properties": {"images": images},
        "required": ["images"],
        "additionalProperties": False,
    }
    content = {
        FORM: {"schema": form({})},
        JSON: {"schema": document, "example": {"images": examples.JOB_SPEC["images"]}},
        "image/*": _IMAGE,
        "application/octet-stream": _IMAGE,
    }
    return _body(content, "Images in the forms of a submit, and nothing else.")


def form(
    fields: dict[str, Schema],
    *,
    files: int | None = None,
    name: str = "file",
    media_type: str = "image/*",
) -> Schema:
    """A form of files with fields. files: how many; 0 for any number, None for at least one."""
    one = {**_FILE, "contentMediaType": media_type}
    file = one if files == 1 else {**array(one), "minItems": 1 if files is None else 0}
    return {
        "type": "object",
        "properties": {name: file, **fields},
        "required": [name] if files != 0 else [],
        "additionalProperties": False,
    }


def operation_fields() -> dict[str, Schema]:
    """What two dialects have in the place of a recipe."""
    side: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
    formats = choice([*Format.__args__, "jpg", "tif"])  # type: ignore[attr-defined]
    return {
        "operation": said(
            choice(MODES), "resize: exactly the size, ratio lost. thumbnail: inside it, ratio kept."
        ),
        "width": shown(said(side, "Pixels."), 200),
        "height": said(side, "Pixels."),
        "output_format": said(formats, "same: the input's, which is what it is without."),
    }


def plain_form(schema: Schema, text: str) -> Schema:
    return _body({FORM: {"schema": schema}}, text)


def form_or_json(form_schema: Schema, json_schema: Schema, example: Any, text: str) -> Schema:
    content = {
        FORM: {"schema": form_schema},
        JSON: {"schema": json_schema, "example": example},
    }
    return _body(content, text)
