"""Settings: defaults, then a TOML file, then `IMGSVC_<SECTION>__<KEY>`, then flags.

A wrong key or value stops the start, with the key's name and what is allowed. Sizes are
bytes and may be written with a unit in files and variables (`"64MiB"`).
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from yarl import URL

from imgsvc.domain.confinement import SandboxMode
from imgsvc.domain.job import MAX_RETAIN_S
from imgsvc.domain.webhook import check_secret
from imgsvc.domain.wording import put_plainly
from imgsvc.errors import StartError

_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6,
          "gb": 10**9}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(value: object) -> object:
    """`"64 MiB"` becomes 67108864; numbers pass through. Raises ValueError on other text."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError('a number of bytes, or one with a unit such as "64 MiB"')
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _parse_list(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _parse_tables(value: object) -> object:
    """A list of tables; from the environment they come as one, with keys such as `0__path`."""
    if not isinstance(value, Mapping):
        if isinstance(value, list | tuple):
            return value
        raise ValueError("tables, each with its own [[ ]] above it.")
    tables: dict[int, dict[str, object]] = {}
    for name, one in value.items():
        number, separator, key = str(name).partition("__")
        if not separator or not number.isdecimal():
            raise ValueError("tables, each with its own [[ ]] above it.")
        tables.setdefault(int(number), {})[key] = one
    return [tables[number] for number in sorted(tables)]


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError(f"{path.parts[0]} is nobody's home that is known here") from exc


def _normalize_host(host: str) -> str:
    """An address as clients write it, without brackets: `0`, and nothing at all, is `0.0.0.0`.
    A name stays.
    """
    address = host.strip("[]") or "0"
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(address))
    except OSError:
        return host


def parse_host(text: str) -> str:
    """A host as a parsed URL names it; `.` in front stays. Raises ValueError for what is none."""
    dot = "." if text.startswith(".") else ""
    try:
        host = URL.build(scheme="http", host=text.removeprefix(".").rstrip(".").strip("[]")).host
    except ValueError:
        host = None
    if not host or "*" in host:
        raise ValueError(
            "Must be a host's name or address, without scheme, port, path and *; .example.org is "
            "example.org and every name under it."
        )
    return dot + host


def parse_served_host(text: str) -> str:
    """A host as the Host header has it: an IPv6 address in brackets, other letters than a to z as
    `xn--`. Raises ValueError for what is none.
    """
    try:
        name = parse_host("" if text.startswith(".") else text)
        host = URL.build(scheme="http", host=name).raw_host or ""
    except ValueError as exc:
        raise ValueError(
            "Must be a host's name or address, without scheme, port, path, * and a dot in front."
        ) from exc
    return f"[{host}]" if ":" in host else host


def parse_base_url(text: str) -> str | None:
    """Where absolute links begin, as a header may hold it; nothing at all is None. Raises
    ValueError for what is none.
    """
    if not text:
        return None
    try:
        url = URL(text)
        parse_host(url.host or "")
    except ValueError:
        url = URL()
    extras = url.user, url.password, url.query_string, url.fragment
    if url.scheme not in {"http", "https"} or not url.host or any(extras) or not text.isprintable():
        raise ValueError(
            "Must be an http or https URL, such as https://images.example.org, without a user, a "
            "query and a fragment."
        )
    return str(url)


_Path = Annotated[Path, AfterValidator(_expand_home)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
SizeLimit = Annotated[int, BeforeValidator(parse_size), Field(ge=1)]
ServedHosts = Annotated[
    tuple[Annotated[str, AfterValidator(parse_served_host)], ...], BeforeValidator(_parse_list)
]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(parse_host)], ...], BeforeValidator(_parse_list)
]
Secrets = Annotated[
    tuple[Annotated[str, AfterValidator(check_secret)], ...], BeforeValidator(_parse_list)
]


def _half_of_ram() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _take_no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError("must be a number, not true or false")
        return value


class ServerSettings(_Section):
    """Where the server listens, and for whom."""

    host: Annotated[str, AfterValidator(_normalize_host)] = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    allow_anonymous: bool = False
    allowed_hosts: ServedHosts = ()
    base_url: Annotated[str, AfterValidator(parse_base_url)] | None = None
    shutdown_grace_s: float = Field(30, ge=0)
    max_connections: int = Field(10_000, ge=1)
    max_uploads: int = Field(256, ge=1)

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def served_hosts(self) -> frozenset[str]:
        """Host names that a request may carry; always those of the machine itself."""
        bound = f"[{self.host}]" if ":" in self.host else self.host
        own = {"localhost", "127.0.0.1", "[::1]", bound.lower().rstrip(".")}
        return frozenset(own).union(self.allowed_hosts)

    @property
    def serves_all_addresses(self) -> bool:
        """Whether the bound host stands for every address of the machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - it is compared with


class StorageSettings(_Section):
    """Where everything is kept."""

    data_dir: _Path = Path("data")
    keep_inputs: bool = True
    reserve_bytes: Size = 1 << 30


class WorkerSettings(_Section):
    """The worker processes."""

    size: int = Field(default_factory=_usable_cpus, ge=1, le=1024)
    min: int | None = Field(None, ge=1, le=1024)
    max: int | None = Field(None, ge=1, le=1024)
    memory_bytes: SizeLimit = Field(default_factory=_half_of_ram)
    timeout_s: float = Field(60, gt=0)
    sandbox: SandboxMode = "auto"

    @model_validator(mode="after")
    def _make_sense_together(self) -> Self:
        if (self.min is None) != (self.max is None):
            raise ValueError("min and max belong together: set both, or neither for a fixed size.")
        if self.min is not None and self.max is not None:
            if self.min > self.max:
                raise ValueError("min must not be greater than max.")
            if "size" in self.model_fields_set and not self.min <= self.size <= self.max:
                raise ValueError("size, which the pool begins with, must be from min to max.")
        return self

    @property
    def first_size(self) -> int:
        """What the pool begins with."""
        if self.min is None or self.max is None:
            return self.size
        return max(self.min, min(self.size, self.max))


class LimitSettings(_Section):
    """What is refused."""

    max_images_per_job: int = Field(10_000, ge=1)
    max_image_bytes: SizeLimit = 64 << 20
    max_json_bytes: SizeLimit = 3 << 29
    max_request_bytes: SizeLimit = 64 << 30
    max_pixels: int = Field(100_000_000, ge=1)
    max_frames: int = Field(256, ge=1)
    max_pending_images: int = Field(1_000_000, ge=1)
    open_idle_s: int = Field(3600, ge=1, le=MAX_RETAIN_S)


class RetentionSettings(_Section):
    """How long finished jobs stay; 0 keeps for ever."""

    finished_s: int = Field(86_400, ge=0, le=MAX_RETAIN_S)


class WebhookSettings(_Section):
    """Messages to the receivers that jobs name."""

    allow_private: bool = False
    secrets: Secrets = Field((), repr=False)
    timeout_s: float = Field(15, gt=0, le=300)
    max_attempts: int = Field(10, ge=1, le=100)


class FetchSettings(_Section):
    """Images given by URL."""

    connect_timeout_s: float = Field(5, gt=0)
    total_timeout_s: float = Field(30, gt=0)
    max_redirects: int = Field(5, ge=0, le=100)
    per_host: int = Field(4, ge=1)
    concurrency: int = Field(32, ge=1, le=1024)
    allow_private: bool = False
    allowed_hosts: Hosts = ()


class FolderSettings(_Section):
    """A folder that the server watches."""

    path: _Path
    preset: str = "standard"
    out: _Path | None = None
    polling: bool | None = None


class LogSettings(_Section):
    """What is logged, and how: `auto` is readable on a terminal and JSON otherwise."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(_Section):
    """All settings; every section has its defaults."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    workers: WorkerSettings = Field(default_factory=WorkerSettings)
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    webhooks: WebhookSettings = WebhookSettings()
    fetch: FetchSettings = FetchSettings()
    folders: Annotated[tuple[FolderSettings, ...], BeforeValidator(_parse_tables)] = ()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _stay_local(self) -> Self:
        if not self.server.is_loopback and not self.server.allow_anonymous:
            raise ValueError(
                f"server.host: {self.server.host} can be reached from other machines, and no API "
                "key guards it. Listen on 127.0.0.1, or set server.allow_anonymous = true if "
                "everybody who can reach it may use it."
            )
        return self

    @model_validator(mode="after")
    def _keep_folders_apart(self) -> Self:
        """Results must not be taken for inputs, nor stand in each other's way."""
        for number, folder in enumerate(self.folders):
            for other in self.folders[:number]:
                _check_apart(f"folders.{number}", folder, other)
                _check_apart(f"folders.{number}", other, folder)
            if folder.out is not None and _is_inside(folder.path, folder.out):
                raise ValueError(
                    f"folders.{number}.out: results in the watched folder itself, or above it, "
                    "would be taken for new images. They may stand in a folder inside of it, or "
                    "elsewhere."
                )
        return self


def _check_apart(key: str, folder: FolderSettings, other: FolderSettings) -> None:
    if _is_inside(folder.path, other.path):
        raise ValueError(
            f"{key}.path: two entries watch {folder.path}, which is, or stands in, {other.path}."
        )
    if folder.out is None:
        return
    if _is_inside(folder.out, other.path) or _is_inside(other.path, folder.out):
        raise ValueError(
            f"{key}.out: results in {folder.out} would be taken for new images, because "
            f"{other.path} is watched too."
        )
    if other.out is not None and folder.out.resolve() == other.out.resolve():
        raise ValueError(f"{key}.out: two entries put their results into {folder.out}.")


def _is_inside(folder: Path, other: Path) -> bool:
    """Whether a folder is another, or stands in it; there or not."""
    return folder.resolve().is_relative_to(other.resolve())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Mapping[str, object]] | None = None,
) -> Settings:
    """Settings out of all their sources, later ones winning. Raises StartError.

    flags: section → key → value; a value of None means that the flag was not given.
    """
    layers = [
        _read_file(file) if file else {},
        _read_environment(os.environ if environ is None else environ),
        {name: {k: v for k, v in keys.items() if v is not None} for name, keys in flags.items()}
        if flags
        else {},
    ]
    merged: dict[str, Any] = {}
    for layer in layers:
        for section, keys in layer.items():
            before = merged.get(section, {})
            is_table = isinstance(keys, Mapping) and isinstance(before, Mapping)
            if is_table:
                merged[section] = {**before, **keys}
            elif isinstance(before, list) or section not in merged:
                merged[section] = keys
            # What else is no table stays, to be refused by name, whatever comes over it.
    try:
        return Settings.model_validate(merged)
    except ValidationError as exc:
        raise StartError(_explain(exc)) from exc


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # as Windows writes it, too
    except OSError as exc:
        raise StartError(f"The settings file {file} cannot be read: {exc.strerror}.") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise StartError(f"The settings file {file} is not valid TOML: {exc}.") from exc


def _read_environment(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Only names with a double underscore are settings; IMGSVC_SERVER is the client's."""
    found: dict[str, dict[str, str]] = {}
    for name, value in environ.items():
        section, separator, key = name.removeprefix("IMGSVC_").partition("__")
        if name.startswith("IMGSVC_") and separator:
            found.setdefault(section.lower(), {})[key.lower()] = value
    return found


def _explain(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors():
        key = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            lines.append(f"{key}: there is no such setting. {_allowed(error['loc'])}")
        else:
            reason = put_plainly(error)
            lines.append(f"{key}: {reason}" if key else reason)
    return "The settings are not valid.\n  " + "\n  ".join(lines)


def _allowed(loc: tuple[int | str, ...]) -> str:
    model: Any = Settings
    for part in loc[:-1]:
        # a number stands for one of several tables, which are all of one kind
        model = get_args(model)[0] if isinstance(part, int) else model.model_fields[part].annotation
    names = ", ".join(model.model_fields)
    return f"Allowed here: {names}."
