"""What a client asks for: the JobSpec document, or the simple fields of a form or query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from imgsvc.domain.input_names import MAX_NAME_CHARS, clean_name
from imgsvc.domain.job import MAX_LABEL_CHARS, MAX_RETAIN_S
from imgsvc.domain.states import Priority
from imgsvc.domain.webhook import WebhookEvent, check_secret
from imgsvc.errors import Fault, InvalidRequest, MalformedRequest, PayloadTooLarge
from imgsvc.intake.faults import MAX_FAULTS, faults_of, pointer_to
from imgsvc.intake.json_document import parse_document
from imgsvc.net.guard import Bar, Blocked, find_host

MAX_WEBHOOK_URL_CHARS = 2048
MAX_DIGITS = 18
FORM_FIELDS = ("preset", "label", "priority", "webhook_url", "open")
QUERY_FIELDS = (*FORM_FIELDS, "recipe", "retain_s", "analyze", "reuse")

_SWITCHES = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def _check_storable(text: str) -> str:
    """SQLite cuts a text off at NUL, and cannot take a lone surrogate."""
    if "\0" in text:
        raise ValueError("Must not hold a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("Must not hold half a surrogate pair.")
    return text


def check_web_url(url: str) -> str:
    """The URL as it is. Raises ValueError. Which ports are asked is judged when it is used."""
    if not url.isprintable():  # such as a zero width space, which comes along when one is copied
        raise ValueError("Must hold no invisible characters, unless percent-encoded.")
    try:
        find_host(url)
    except Blocked as exc:
        if exc.bar is Bar.LOGIN:
            raise ValueError("Must not hold a user or a password.") from exc
        if exc.bar is not Bar.PORT:
            raise ValueError("Must be an http or https URL.") from exc
    return url


_Text = Annotated[str, AfterValidator(_check_storable)]
_Label = Annotated[str, Field(max_length=MAX_LABEL_CHARS), AfterValidator(_check_storable)]
_Name = Annotated[
    str,
    Field(max_length=MAX_NAME_CHARS),
    AfterValidator(_check_storable),
    AfterValidator(clean_name),
]
_WebUrl = Annotated[
    str,
    Field(max_length=MAX_WEBHOOK_URL_CHARS),
    AfterValidator(_check_storable),
    AfterValidator(check_web_url),
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ImageSpec(_Strict):
    """One image: either `data`, a placeholder by now, or `url`, which is not judged here.

    name: None when it is to be called `image-<index>`.
    """

    data: str | None = None
    url: str | None = None
    name: _Name | None = None


class WebhookSpec(_Strict):
    """secret: None takes the server's own."""

    url: _WebUrl
    events: Annotated[
        list[Annotated[WebhookEvent, Field(strict=False)]], Field(min_length=1, fail_fast=True)
    ] = [WebhookEvent.JOB_FINISHED]
    secret: Annotated[str, AfterValidator(check_secret)] | None = Field(None, repr=False)


class JobSpec(_Strict):
    """A job as it is asked for, images by their order in the document.

    recipe: raw, judged by `imgsvc.recipes`. retain_s: None takes the configured time,
    0 keeps for ever. Which fields were given is in `model_fields_set`.
    """

    images: Annotated[list[ImageSpec], Field(fail_fast=True)] = []
    preset: _Text | None = None
    recipe: Any = None
    label: _Label | None = None
    priority: Annotated[Priority, Field(strict=False)] = Priority.NORMAL
    open: bool = False
    webhook: WebhookSpec | None = None
    retain_s: Annotated[int, Field(ge=0, le=MAX_RETAIN_S)] | None = None
    analyze: bool = True
    reuse: bool = True


def parse_spec(document: object, *, takes_images: bool = True) -> JobSpec:
    """Raises InvalidRequest with a fault for every wrong place, of lists the first one.

    takes_images: False where the images come beside the document, as in a form.
    """
    if not takes_images and isinstance(document, dict) and document.get("images"):
        raise _refusal([Fault("/images", "The images come as files here.")])
    try:
        spec = JobSpec.model_validate(document)
    except ValidationError as exc:
        raise _refusal(faults_of(exc)) from exc
    faults = list(_find_conflicts(spec))
    if faults:
        raise _refusal(faults)
    return spec


def parse_fields(fields: Mapping[str, str]) -> JobSpec:
    """The same from simple fields; an empty one, as forms send it, counts as not given.

    Raises InvalidRequest as `parse_spec` does, for unknown fields too.
    """
    return _parse_texts(fields, FORM_FIELDS)


def parse_query(fields: Mapping[str, str]) -> JobSpec:
    """The same where the body is an image and everything else stands in the query: `recipe`
    is JSON there.
    """
    return _parse_texts(fields, QUERY_FIELDS)


def _parse_texts(fields: Mapping[str, str], known: Collection[str]) -> JobSpec:
    given = {name: value for name, value in fields.items() if value != ""}
    unknown = [Fault(pointer_to([name]), "Unknown field.") for name in given.keys() - known]
    if unknown:
        raise _refusal(sorted(unknown, key=lambda fault: fault.pointer))
    document: dict[str, Any] = {
        name: _VALUES[name](name, value) if name in _VALUES else value
        for name, value in given.items()
    }
    if "webhook_url" in given:
        document["webhook"] = {"url": document.pop("webhook_url")}
    try:
        return parse_spec(document)
    except InvalidRequest as exc:
        faults = [
            Fault(f.pointer.replace("/webhook/url", "/webhook_url"), f.detail) for f in exc.faults
        ]
        raise _refusal(faults) from exc


def _switch(name: str, text: str) -> bool:
    switch = _SWITCHES.get(text.lower())
    if switch is None:
        raise _refusal([Fault(f"/{name}", "Must be true or false.")])
    return switch


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise _refusal([Fault(f"/{name}", "Must be a whole number.")])
    return int(text)


def _json(name: str, text: str) -> object:
    try:
        return parse_document(text.encode())
    except (MalformedRequest, PayloadTooLarge, UnicodeEncodeError) as exc:
        raise _refusal([Fault(f"/{name}", "Must be JSON.")]) from exc


_VALUES: dict[str, Callable[[str, str], object]] = {
    "open": _switch,
    "analyze": _switch,
    "reuse": _switch,
    "retain_s": _number,
    "recipe": _json,
}
"""How what is no text is written as one."""


def _find_conflicts(spec: JobSpec) -> Iterable[Fault]:
    if spec.preset is not None and spec.recipe is not None:
        yield Fault("/recipe", "Give a preset or a recipe, not both.")
    for index, image in enumerate(spec.images):
        if (image.data is None) == (image.url is None):
            yield Fault(f"/images/{index}", "Give either data or url.")


def _refusal(faults: Sequence[Fault]) -> InvalidRequest:
    first = faults[0]
    where = f" at {first.pointer}" if first.pointer else ""
    more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
    return InvalidRequest(
        f"The job is not valid{where}: {first.detail}{more}", tuple(faults[:MAX_FAULTS])
    )
