"""How far workers are shut in: asked of a worker, since it depends on the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SandboxMode = Literal["auto", "required", "off"]
"""As far as the kernel can; no worker without all of it; not at all."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """landlock: the version that the kernel has, 0 for none. gaps: what is not refused, a
    sentence each; none when all of it is.
    """

    landlock: int
    gaps: tuple[str, ...] = ()
