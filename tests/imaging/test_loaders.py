"""Of libvips' loaders those run that are named, whatever else the library was built with."""

from __future__ import annotations

from typing import Any

import pytest
import pyvips

from imgsvc.imaging.loaders import LOADERS, prepare

BLOCKED = 32
"""VIPS_OPERATION_BLOCKED of libvips' operation.h."""


def list_loaders(base: str = "VipsForeignLoad") -> dict[str, str]:
    """Nicknames by class, of everything that can be called."""
    found: dict[str, str] = {}

    def see(kind: Any, *_: Any) -> Any:
        below = list_loaders(pyvips.type_name(kind))
        found.update(below or {pyvips.type_name(kind): pyvips.nickname_find(kind)})
        return pyvips.ffi.NULL

    pyvips.type_map(pyvips.type_from_name(base), see)
    return found


def is_blocked(nickname: str) -> bool:
    operation = pyvips.Operation.new_from_name(nickname)
    return bool(pyvips.vips_lib.vips_operation_get_flags(operation.pointer) & BLOCKED)


def test_every_loader_that_is_not_named_is_blocked() -> None:
    prepare()
    loaders = list_loaders()
    named = {class_name for _, class_name in LOADERS.values()}
    assert len(loaders) > 2 * len(named)
    assert {name for name, nickname in loaders.items() if not is_blocked(nickname)} == named


@pytest.mark.parametrize("nickname", ["svgload", "csvload", "matrixload", "vipsload"])
def test_a_blocked_loader_refuses_to_run(nickname: str, tmp_path: Any) -> None:
    prepare()
    path = tmp_path / "a.jpg"
    path.write_text("1 1\n1")
    with pytest.raises(pyvips.Error, match="blocked"):
        pyvips.Operation.call(nickname, str(path))
