"""The shop of the pages: loaded once, copied for each page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import segengine as se
from tests.docs.blocks import DOCS


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`docs/shop` with its files loaded."""
    folder = tmp_path_factory.mktemp("docs") / "shop"
    shutil.copytree(DOCS / "shop", folder)
    with se.Engine.open(folder) as engine:
        engine.load_configured()
    return folder
