"""Variables of the environment that look like settings, and are none."""

from __future__ import annotations

import os

from imgsvc.config import Settings


def find_unread() -> dict[str, str]:
    """Those that lack an underscore, and the settings that they may be meant for.

    They stop no start: for a service named imgsvc-server Kubernetes sets IMGSVC_SERVER_PORT.
    """
    meant = {
        f"IMGSVC_{section}_{key}".upper(): f"IMGSVC_{section}__{key}".upper()
        for section, field in Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }
    return {name: meant[name] for name in os.environ if name in meant}
