"""What the documents say is what the program does."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import click
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import imgsvc
from imgsvc.cli.main import cli
from imgsvc.config import Settings, load_settings, parse_size
from imgsvc.errors import WarningCode
from imgsvc.recipes.formats import FORMATS
from imgsvc.recipes.model import Variant
from imgsvc.recipes.presets import BUILT_IN
from imgsvc.recipes.validation import parse_recipe

ROOT = Path(imgsvc.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
RECIPES_PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def uncommented(example: str) -> str:
    """The example with every `#key = value` in force; prose is `# text`, with a space."""
    return re.sub(r"^#(?=\w+ = |\[\[)", "", example, flags=re.MULTILINE)


def settings_fields() -> Iterator[tuple[str, FieldInfo]]:
    for section, section_field in Settings.model_fields.items():
        model = section_field.annotation
        if get_origin(model) is tuple:  # of tables
            model = get_args(model)[0]
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for key, field in model.model_fields.items():
            yield f"{section}.{key}", field


FIELDS = dict(settings_fields())


def example_values() -> dict[str, object]:
    sections = tomllib.loads(uncommented(EXAMPLE))
    return {
        f"{section}.{key}": value
        for section, tables in sections.items()
        for table in (tables if isinstance(tables, list) else [tables])
        for key, value in table.items()
    }


def shell_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line.strip())


def imgsvc_commands() -> list[list[str]]:
    """Arguments of every `imgsvc …` that a document tells to run."""
    lines = [line for path in DOCUMENTS for line in shell_lines(path.read_text(encoding="utf-8"))]
    commands = [shlex.split(line, comments=True) for line in lines]
    names = {"imgsvc", ".venv/bin/imgsvc"}
    return [
        words[place + 1 :]
        for words in commands
        for place, word in enumerate(words)
        if word in names and words[place - 1] != "-m"
    ]


def shown_recipes() -> list[str]:
    """Every recipe that a document shows as JSON."""
    return [
        block
        for path in DOCUMENTS
        for block in re.findall(
            r"^```json\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        if '"variants"' in block
    ]


def named_first(text: str) -> set[str]:
    """What is named in the first cells of a page's tables."""
    cells = re.findall(r"^\| (`[^|]*`) \|", text, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def format_row(name: str) -> dict[str, str]:
    """A row of the recipes page's table of formats; `-` stands for nothing."""
    table = RECIPES_PAGE[RECIPES_PAGE.index("| | WebP |") :].splitlines()
    row = next(line for line in table if re.match(rf"\| `?{name}`? \|", line))
    formats, cells = ([cell.strip() for cell in line.split("|")[2:-1]] for line in (table[0], row))
    return {format_.lower(): cell for format_, cell in zip(formats, cells, strict=True)}


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(example_values()) == set(FIELDS)


def test_the_example_has_everything_commented_out() -> None:
    sections = tomllib.loads(EXAMPLE)
    assert {*sections, "folders"} == set(Settings.model_fields)  # which need a path to be there
    assert not any(sections.values())


def test_the_example_loads_with_every_key_in_force(tmp_path: Path) -> None:
    file = tmp_path / "imgsvc.toml"
    file.write_text(uncommented(EXAMPLE), encoding="utf-8")
    assert load_settings(file, environ={}).server.port == 8080


def has_one_default(field: FieldInfo) -> bool:
    """Not so when it depends on the machine, or when the setting is unset."""
    return field.default_factory is None and not field.is_required() and field.default is not None


@pytest.mark.parametrize("key", sorted(key for key in FIELDS if has_one_default(FIELDS[key])))
def test_the_example_shows_the_default(key: str) -> None:
    field, shown = FIELDS[key], example_values()[key]
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    default = str(default) if isinstance(default, Path) else default
    assert shown == default or parse_size(shown) == default


@pytest.mark.parametrize("key", sorted(FIELDS))
def test_every_setting_is_on_the_settings_page(key: str) -> None:
    assert f"| `{key}` |" in SETTINGS_PAGE


def test_the_settings_page_names_no_setting_that_does_not_exist() -> None:
    sections = "|".join(Settings.model_fields)
    named = set(re.findall(rf"`((?:{sections})\.\w+)`", SETTINGS_PAGE + README))
    assert named - set(FIELDS) - {"imgsvc.db"} == set()


def test_the_settings_page_names_no_variable_that_does_not_exist() -> None:
    variables = set(
        re.findall(r"IMGSVC_([A-Z]+)__(?:\d+__)?([A-Z_]+)", SETTINGS_PAGE + README + EXAMPLE)
    )
    named = {f"{section}.{key}".lower() for section, key in variables}
    assert named - set(FIELDS) == set()


@pytest.mark.parametrize("name", ["PORT", "DB_PATH", "UPLOAD_DIR", "OUTPUT_DIR",
                                  "WORKER_POOL_SIZE", "MAX_UPLOAD_SIZE"])  # fmt: skip
def test_usual_names_are_mapped_to_ours(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| .*`IMGSVC_", SETTINGS_PAGE, flags=re.MULTILINE)


def test_the_documents_show_recipes() -> None:
    assert len(shown_recipes()) >= 6


@pytest.mark.parametrize("text", shown_recipes())
def test_every_recipe_in_the_documents_is_valid(text: str) -> None:
    assert parse_recipe(json.loads(text)).variants


def test_the_recipes_page_has_every_field_every_warning_and_every_preset() -> None:
    expected = {*Variant.model_fields, *WarningCode, *BUILT_IN} - {"name"}
    assert expected - named_first(RECIPES_PAGE) == set()


def test_the_recipes_page_says_what_each_format_holds() -> None:
    held = {
        format_: {kind.strip().lower() for kind in cell.split(",")} - {"-"}
        for format_, cell in format_row("metadata").items()
    }
    assert held == {format_: set(facts.blocks) for format_, facts in FORMATS.items()}


def test_the_recipes_page_says_each_formats_usual_quality() -> None:
    said = {format_: cell for format_, cell in format_row("quality").items() if cell != "-"}
    usual = {format_: facts.usual_quality for format_, facts in FORMATS.items()}
    assert said == {format_: str(number) for format_, number in usual.items() if number}


def test_every_make_target_in_the_readme_exists() -> None:
    named = {m for line in shell_lines(README) for m in re.findall(r"\bmake ([a-z-]+)", line)}
    assert {"demo", "test", "check"} <= named
    assert named <= make_targets()


def test_make_help_lists_every_command_that_has_a_description() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    described = set(re.findall(r"^([a-z-]+):.* ## ", makefile, flags=re.MULTILINE))
    assert {"help", "demo", "serve", "test", "check", "bench", "fix"} <= described


def test_the_documents_show_commands() -> None:
    assert len(imgsvc_commands()) > 5


@pytest.mark.parametrize("arguments", imgsvc_commands(), ids=" ".join)
def test_every_command_in_the_documents_can_be_given(arguments: list[str]) -> None:
    context = click.Context(cli)
    name, command, rest = cli.resolve_command(context, arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, command, rest = command.resolve_command(context, rest)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert used <= known, name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_prose_keeps_to_a_hundred_columns(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    long = [line for line in lines if len(line) > 100 and not line.startswith("|")]
    assert [line for line in long if "://" not in line] == []


def test_the_changelog_speaks_of_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{imgsvc.__version__}]" in changelog
