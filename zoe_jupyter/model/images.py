"""How images are named in descriptions."""

from __future__ import annotations

import re

OWN_PREFIX = "zoe/"
"""Images whose names begin so are Zoe's own: a site's setting says where they really are."""


def default_image(framework: str, version: str) -> str:
    """The image of a framework that names none; the one that ``jupyter zoe image build`` makes."""
    tag = re.sub(r"[^A-Za-z0-9_.-]+", "-", version).strip("-.") or "latest"
    return f"{OWN_PREFIX}{framework}:{tag[:128]}"
