"""What stands in the data folder where folders belong, and is looked at before a start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsvc.blobs.layout import Layout, check_layout
from imgsvc.errors import StartError
from tests.rights import let_others_in, without_rights


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """Folders in which everybody may do everything, as far as they are open."""
    layout = Layout(tmp_path / "data")
    for folder in (layout.data_dir, layout.jobs, layout.watermarks, layout.slots):
        folder.mkdir()
        folder.chmod(0o777)
    let_others_in(tmp_path)
    yield layout
    for path in layout.slots.iterdir():
        path.chmod(0o777)


def test_a_closed_folder_of_somebody_else_among_those_of_slots_is_no_obstacle(
    layout: Layout,
) -> None:
    for name in ("lost+found", "mine.in"):
        (layout.slots / name).mkdir(mode=0)
    with without_rights():
        check_layout(layout)


@pytest.mark.parametrize("name", ["0", "12", "7.in"])
def test_a_closed_folder_of_a_slot_is_one(layout: Layout, name: str) -> None:
    (layout.slots / name).mkdir(mode=0)
    with without_rights(), pytest.raises(StartError, match="closed to this user"):
        check_layout(layout)
