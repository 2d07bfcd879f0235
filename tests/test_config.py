from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.api.locality import is_served
from imgsvc.config import Settings, is_loopback, load_settings, parse_size
from imgsvc.errors import StartError
from imgsvc.net.guard import Guard


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "imgsvc.toml"


def load(
    *, file: Path | None = None, environ: dict[str, str] | None = None, **flags: dict[str, object]
) -> Settings:
    return load_settings(file, environ or {}, flags)


def refusal(**sources: object) -> str:
    with pytest.raises(StartError) as caught:
        load(**sources)  # type: ignore[arg-type]
    return caught.value.message


def test_without_any_source_the_server_is_local_and_on_8080() -> None:
    settings = load()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.storage.data_dir == Path("data")


def test_a_flag_beats_the_environment_which_beats_the_file(file: Path) -> None:
    file.write_text("[server]\nport = 1001\nshutdown_grace_s = 1\n[workers]\nsize = 1\n")
    environ = {"IMGSVC_SERVER__PORT": "1002", "IMGSVC_WORKERS__SIZE": "2"}
    settings = load(file=file, environ=environ, server={"port": 1003})
    assert settings.server.port == 1003
    assert settings.workers.size == 2
    assert settings.server.shutdown_grace_s == 1


def test_a_flag_that_was_not_given_leaves_the_value_alone() -> None:
    settings = load(environ={"IMGSVC_SERVER__PORT": "1002"}, server={"port": None, "host": None})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 1002)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1 KiB", 1024),
        ("64MiB", 64 << 20),
        ("1.5gib", 3 << 29),
        (" 2 kb ", 2000),
        ("3MB", 3_000_000),
        ("1GB", 10**9),
    ],
)
def test_a_size_may_carry_a_unit(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes
    settings = load(environ={"IMGSVC_STORAGE__RESERVE_BYTES": text})
    assert settings.storage.reserve_bytes == size_bytes


@pytest.mark.parametrize("text", ["", "MiB", "-1", "64 MiBs", "1,5 GiB", "1e6", "many"])
def test_a_size_that_cannot_be_read_is_refused_by_name(text: str) -> None:
    message = refusal(environ={"IMGSVC_LIMITS__MAX_IMAGE_BYTES": text})
    assert "limits.max_image_bytes" in message
    assert "64 MiB" in message


def test_names_come_as_a_list_in_files_and_with_commas_in_variables(file: Path) -> None:
    file.write_text('[server]\nallowed_hosts = ["a.example", "b.example"]\n')
    assert load(file=file).server.allowed_hosts == ("a.example", "b.example")
    environ = {"IMGSVC_SERVER__ALLOWED_HOSTS": " a.example, b.example,"}
    assert load(environ=environ).server.allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize("value", ["true", "1", "yes", "on"])
def test_a_switch_in_the_environment_is_said_in_words(value: str) -> None:
    assert load(environ={"IMGSVC_SERVER__ALLOW_ANONYMOUS": value}).server.allow_anonymous


def test_an_unknown_key_is_named_with_the_keys_there_are() -> None:
    message = refusal(environ={"IMGSVC_SERVER__PROT": "1"})
    assert "server.prot" in message
    assert "port" in message.partition("Allowed here:")[2]


def test_an_unknown_section_is_named_with_the_sections_there_are(file: Path) -> None:
    file.write_text("[sever]\nport = 1\n")
    message = refusal(file=file)
    assert "sever" in message
    allowed = message.partition("Allowed here:")[2]
    assert all(section in allowed for section in Settings.model_fields)


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("IMGSVC_SERVER__PORT", "65536", "server.port"),
        ("IMGSVC_SERVER__PORT", "http", "server.port"),
        ("IMGSVC_WORKERS__SIZE", "0", "workers.size"),
        ("IMGSVC_WORKERS__TIMEOUT_S", "0", "workers.timeout_s"),
        ("IMGSVC_LOG__LEVEL", "loud", "log.level"),
        ("IMGSVC_STORAGE__KEEP_INPUTS", "perhaps", "storage.keep_inputs"),
        ("IMGSVC_RETENTION__FINISHED_S", "-1", "retention.finished_s"),
        ("IMGSVC_RETENTION__FINISHED_S", "3162240001", "retention.finished_s"),
        ("IMGSVC_LIMITS__OPEN_IDLE_S", "3162240001", "limits.open_idle_s"),
        ("IMGSVC_LIMITS__MAX_IMAGE_BYTES", "0", "limits.max_image_bytes"),
        ("IMGSVC_LIMITS__MAX_JSON_BYTES", "0", "limits.max_json_bytes"),
        ("IMGSVC_LIMITS__MAX_REQUEST_BYTES", "0.5", "limits.max_request_bytes"),
        ("IMGSVC_WORKERS__MEMORY_BYTES", "0 GiB", "workers.memory_bytes"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(variable: str, value: str, key: str) -> None:
    assert key in refusal(environ={variable: value})


def test_a_file_may_be_of_windows(file: Path) -> None:
    file.write_text("[workers]\r\nsize = 3\r\n", encoding="utf-8-sig")
    assert load(file=file).workers.size == 3


@pytest.mark.parametrize(
    "setting", ["server.port", "workers.min", "workers.timeout_s", "limits.max_image_bytes"]
)
def test_a_switch_is_no_number(file: Path, setting: str) -> None:
    section, key = setting.split(".")
    file.write_text(f"[{section}]\n{key} = true\n")
    assert f"{setting}: must be a number" in refusal(file=file)


def test_every_wrong_place_is_named_at_once() -> None:
    message = refusal(
        environ={"IMGSVC_SERVER__PORT": "x", "IMGSVC_WORKERS__SIZE": "0", "IMGSVC_LOG__FMT": "y"}
    )
    assert all(key in message for key in ("server.port", "workers.size", "log.fmt"))


def test_the_clients_own_variables_are_no_settings() -> None:
    environ = {"IMGSVC_SERVER": "http://127.0.0.1:9000", "IMGSVC_API_KEY": "k", "PORT": "1"}
    assert load(environ=environ) == load()


def test_another_host_is_refused_without_saying_that_anybody_may() -> None:
    message = refusal(server={"host": "0.0.0.0"})  # noqa: S104
    assert "server.host" in message
    assert "allow_anonymous" in message
    settings = load(server={"host": "0.0.0.0", "allow_anonymous": True})  # noqa: S104
    assert not settings.server.is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machines_own_addresses_are_loopback(host: str) -> None:
    assert is_loopback(host)
    assert load(server={"host": host}).server.host == host


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("[::1]", "::1"), ("::0", "::"), ("[2001:DB8:0::1]", "2001:db8::1"), ("", "0.0.0.0"),  # noqa: S104
        ("0", "0.0.0.0"), ("127.1", "127.0.0.1"), ("Photos.example", "Photos.example"),  # noqa: S104
    ],
)  # fmt: skip
def test_an_address_may_be_written_in_any_way(host: str, address: str) -> None:
    assert load(server={"host": host, "allow_anonymous": True}).server.host == address


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "localhost.example.org", ""])  # noqa: S104
def test_any_other_address_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.toml" in refusal(file=tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"[server\n", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert file.name in refusal(file=file)


def test_a_section_that_is_no_table_is_refused_by_name(file: Path) -> None:
    file.write_text('server = "127.0.0.1"\n')
    assert "server" in refusal(file=file)
    assert "server" in refusal(file=file, environ={"IMGSVC_SERVER__PORT": "9000"})


def test_folders_are_tables_of_their_own(file: Path) -> None:
    file.write_text('[[folders]]\npath = "/a"\nout = "/a/made"\n[[folders]]\npath = "/b"\n')
    first, second = load(file=file).folders
    assert (first.path, first.out, first.preset) == (Path("/a"), Path("/a/made"), "standard")
    assert (second.path, second.out, second.polling) == (Path("/b"), None, None)


def test_folders_in_the_environment_are_numbered_and_take_the_files_place(file: Path) -> None:
    file.write_text('[[folders]]\npath = "/a"\n')
    environ = {
        "IMGSVC_FOLDERS__1__PATH": "/c",
        "IMGSVC_FOLDERS__0__PATH": "/b",
        "IMGSVC_FOLDERS__0__POLLING": "true",
    }
    first, second = load(file=file, environ=environ).folders
    assert (first.path, first.polling, second.path) == (Path("/b"), True, Path("/c"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('folders = "/a"', "folders"),
        ('[folders]\npath = "/a"', "folders"),
        ("[[folders]]\n", "folders.0.path"),
        ('[[folders]]\npath = "/a"\nput = "/b"', "folders.0.put"),
        ('[[folders]]\npath = "/a"\nout = "/b/../a"', "folders.0.out"),
        ('[[folders]]\npath = "/a"\n[[folders]]\npath = "/b/../a"', "folders.1.path"),
        ('[[folders]]\npath = "/a"\n[[folders]]\npath = "/a/b"', "folders.1.path"),
        ('[[folders]]\npath = "/a/b"\n[[folders]]\npath = "/a"', "folders.1.path"),
        ('[[folders]]\npath = "/a"\n[[folders]]\npath = "/b"\nout = "/a/b"', "folders.1.out"),
        ('[[folders]]\npath = "/o/in"\nout = "/o"', "folders.0.out"),
        ('[[folders]]\npath = "/a"\nout = "/o"\n[[folders]]\npath = "/o/in"', "folders.1.out"),
        ('[[folders]]\npath = "/a"\nout = "/b/c"\n[[folders]]\npath = "/b"', "folders.1.out"),
        (
            '[[folders]]\npath = "/a"\nout = "/o"\n[[folders]]\npath = "/b"\nout = "/o"',
            "folders.1.out",
        ),
    ],
)
def test_folders_that_cannot_be_or_are_in_each_others_way_are_refused(
    file: Path, content: str, named: str
) -> None:
    file.write_text(content + "\n")
    assert f"  {named}: " in refusal(file=file)


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]


def test_served_hosts_are_this_machine_the_bound_host_and_the_named_ones() -> None:
    server = load(
        server={"host": "::", "allow_anonymous": True, "allowed_hosts": "Photos.Example"}
    ).server
    assert server.served_hosts == {"localhost", "127.0.0.1", "[::1]", "[::]", "photos.example"}
    server = load(server={"host": "Photos.Example.", "allow_anonymous": True}).server
    assert "photos.example" in server.served_hosts


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("CDN.Example", "http://cdn.example/"), ("cdn.example.", "http://cdn.example/"),
        (".shop.example", "http://a.shop.example/"), ("10.0.0.1", "http://10.0.0.1/"),
        ("[::1]", "http://[::1]/"), ("::1", "http://[::1]/"),
        ("xn--mnchen-3ya.example", "http://m\u00fcnchen.example/"),
        ("M\u00fcnchen.example", "http://xn--mnchen-3ya.example/"),
    ],
)  # fmt: skip
def test_a_host_that_may_be_asked_is_known_by_any_of_its_spellings(written: str, url: str) -> None:
    hosts = load(fetch={"allowed_hosts": [written]}).fetch.allowed_hosts
    assert Guard(allow_private=True, allowed_hosts=hosts).check_url(url)


@pytest.mark.parametrize(
    "written",
    [
        "https://cdn.example", "cdn.example:8443", "cdn.example/a", "*.shop.example", "a b.example",
        "user@cdn.example", "10.0.0.0/8", ".", "",
    ],
)  # fmt: skip
def test_what_can_be_no_host_to_ask_is_refused_by_name(written: str) -> None:
    message = refusal(fetch={"allowed_hosts": [written]})
    assert "fetch.allowed_hosts.0" in message
    assert "without scheme, port" in message


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("Photos.Example.", "photos.example"), ("::1", "[::1]:8080"), ("[FD00::1]", "[fd00::1]"),
        ("fd00:0::1", "[fd00:0::1]:8080"),
        ("my_service", "my_service:8080"), ("10.0.0.1", "10.0.0.1"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("M\u00fcnchen.example", "xn--mnchen-3ya.example:443"),
    ],
)  # fmt: skip
def test_a_host_that_requests_may_carry_is_known_by_any_of_its_spellings(
    written: str, header: str
) -> None:
    assert is_served(header, load(server={"allowed_hosts": [written]}).server)


@pytest.mark.parametrize(
    "written", ["https://a.example", "a.example:8080", "a.example/x", "*", ".a.example", ""]
)
def test_what_no_host_header_can_hold_is_refused_by_name(written: str) -> None:
    message = refusal(server={"allowed_hosts": [written]})
    assert "server.allowed_hosts.0" in message
    assert "without scheme, port" in message


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://a.example", "https://a.example"), ("HTTP://A.example", "http://a.example"),
        ("http://[::1]:8080/photos/", "http://[::1]:8080/photos/"),
        ("https://m\u00fcnchen.example", "https://xn--mnchen-3ya.example"),
        ("https://a.example?", "https://a.example"), ("https://a.b/a b", "https://a.b/a%20b"),
    ],
)  # fmt: skip
def test_links_may_begin_with_any_web_address(written: str, url: str) -> None:
    assert load(server={"base_url": written}).server.base_url == url


def test_an_empty_base_url_is_none() -> None:
    assert load(environ={"IMGSVC_SERVER__BASE_URL": ""}).server.base_url is None


@pytest.mark.parametrize(
    "url",
    [
        "a.example", "ftp://a.example", "//a.example", "http://", "https://a.example:99999",
        "https://a.example?b", "https://a.example#b", "https://me@a.example", "http://a\n.example",
        "https://a b.example", "https://a.example ", "https://*.example",
    ],
)  # fmt: skip
def test_what_no_link_can_begin_with_is_refused_by_name(url: str) -> None:
    assert "server.base_url: Must be an http or https URL" in refusal(server={"base_url": url})


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(storage={"data_dir": "~/data"}).storage.data_dir == tmp_path / "data"


def test_a_path_at_the_home_of_nobody_is_refused_by_name() -> None:
    message = refusal(environ={"IMGSVC_STORAGE__DATA_DIR": "~nobodyhere/data"})
    assert "storage.data_dir: ~nobodyhere is nobody's home" in message


def test_a_secret_that_is_none_is_refused_and_not_repeated() -> None:
    message = refusal(environ={"IMGSVC_WEBHOOKS__SECRETS": "hunter2"})
    assert "webhooks.secrets.0" in message
    assert "whsec_" in message
    assert "hunter2" not in message


def test_secrets_are_not_shown_with_the_settings() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - an example
    settings = load(environ={"IMGSVC_WEBHOOKS__SECRETS": f"{secret}, {secret}"})
    assert settings.webhooks.secrets == (secret, secret)
    assert secret not in repr(settings)
