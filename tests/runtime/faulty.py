"""The program with a renderer that can be told to misbehave, by what an image holds.

`python -m tests.runtime.faulty serve …` is the real command line but for that renderer.
An input that begins with "fault " does what its next word says (see tests.workers.faults);
any other is rendered for real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgsvc.domain.rendering import Outcome, RenderTask
from imgsvc.workers.child import render_image
from tests.workers import faults

MARK = b"fault "


def fault(word: str, rest: object = "") -> bytes:
    """An image that makes its worker do `word`."""
    return MARK + f"{word} {rest}".encode()


def render(task: RenderTask) -> Outcome:
    path = Path(task.input_path)
    with path.open("rb") as file:
        if file.read(len(MARK)) != MARK:
            return render_image(task)
    content = path.read_bytes().removeprefix(MARK)
    path.unlink()  # it is a link to the input itself
    path.write_bytes(content)
    return faults.render(task)


def unconfined(settings: Any) -> Any:
    """With workers that reach the files of a test, wherever they are."""
    workers = settings.workers.model_copy(update={"sandbox": "off"})
    return settings.model_copy(update={"workers": workers})


def main() -> None:
    from imgsvc.cli.main import cli
    from imgsvc.runtime import server

    real = server.open_server

    def open_faulty(settings: Any, _render: Any = None) -> Any:
        return real(unconfined(settings), render)

    setattr(server, "open_server", open_faulty)  # noqa: B010 - what it replaces has a finer type
    cli()


if __name__ == "__main__":
    main()
