"""Rules of the house that neither lint nor import contracts can see."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imgsvc
from imgsvc import errors
from imgsvc.api.problems import IMAGE_STATUSES, STATUSES
from imgsvc.errors import ImageErrorCode, RequestError

PACKAGE = Path(imgsvc.__file__).parent
MAX_LINES = 450
MAX_FUNCTION_LINES = 60


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
    )
    return done.stdout


def request_errors(base: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    for error in base.__subclasses__():
        yield error
        yield from request_errors(error)


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.name}", node


def test_the_server_never_loads_the_image_libraries() -> None:
    code = (
        "import json, sys, imgsvc.runtime, imgsvc.api.app, imgsvc.cli.main\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(run_python(code)))
    assert "imgsvc.runtime" in loaded
    assert not loaded & {"pyvips", "PIL", "PIL.Image"}
    assert not [name for name in loaded if name.startswith("imgsvc.imaging")]


def test_the_entry_module_loads_nothing_that_a_worker_would_load_again() -> None:
    code = "import json, sys, imgsvc.__main__; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(run_python(code))
    assert [name for name in loaded if name.startswith("imgsvc")] == ["imgsvc", "imgsvc.__main__"]


def test_every_request_error_has_exactly_one_status_and_none_is_left_over() -> None:
    codes = [error.code for error in request_errors()]
    assert len(codes) == len(set(codes))
    assert set(codes) == set(STATUSES)
    assert all(400 <= status < 600 for status in STATUSES.values())


def test_every_image_code_has_one_status_too_and_the_one_of_the_request_code_it_shares() -> None:
    assert set(IMAGE_STATUSES) == set(ImageErrorCode)
    assert all(IMAGE_STATUSES[code] == STATUSES.get(code, 422) for code in ImageErrorCode)


def test_codes_are_spelled_alike_and_messages_come_with_titles() -> None:
    spelled = re.compile(r"[a-z]+(_[a-z]+)*")
    for error in request_errors():
        assert spelled.fullmatch(error.code)
        assert error.title[0].isupper()
        assert not error.title.endswith(".")
    assert all(spelled.fullmatch(code) for code in ImageErrorCode)


def test_the_tree_that_opens_errors_names_every_error() -> None:
    tree = errors.__doc__ or ""
    names = {error.__name__ for error in request_errors()}
    assert {name for name in names if name not in tree} == set()


def test_every_file_can_be_read_in_one_sitting() -> None:
    folders = (PACKAGE, PACKAGE.parent / "tests", PACKAGE.parent / "benchmarks")
    lengths = {
        str(path.relative_to(PACKAGE.parent)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in folder.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_every_function_fits_a_glance() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions()}
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "common", "helpers", "misc", "models"}
    assert [path for path in PACKAGE.rglob("*") if path.stem in drawers] == []


def test_workers_are_imported_without_their_surroundings() -> None:
    """Every spawned worker imports these packages; what they import, it pays for."""
    code = (
        "import json, sys, imgsvc.workers.child; "
        "print(json.dumps([m for m in sys.modules if m.startswith('imgsvc')]))"
    )
    allowed = ("imgsvc.domain", "imgsvc.errors", "imgsvc.files", "imgsvc.workers")
    loaded = json.loads(run_python(code))
    assert [m for m in loaded if m != "imgsvc" and not m.startswith(allowed)] == []
