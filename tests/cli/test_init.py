"""A new store.toml explains itself, has every setting, and is never written over another."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from segengine import Engine
from segengine.cli.store_template import TEMPLATE
from segengine.schema.affinity_settings import AffinitySettings
from segengine.schema.store_config import (
    LifecycleSettings,
    LoadSpec,
    RfmSettings,
    SegmentSpec,
    StoreConfig,
    parse_config,
    read_config,
)
from tests.cli.conftest import ask


def _with_examples() -> dict[str, Any]:
    """The template as a shop that takes every example up would have it."""
    text = re.sub(r"^# (\[|\w+ = )", r"\1", TEMPLATE, flags=re.MULTILINE)
    text = text.replace('mode = "quintile"', 'mode = "fixed"')
    text = text.replace("channels = []", 'channels = ["sms"]')
    return tomllib.loads(text)


def _keys(section: dict[str, Any]) -> set[str]:
    found = set(section)
    for value in section.values():
        if isinstance(value, dict):
            found |= _keys(value)
    return found


def test_the_written_file_is_read_as_the_defaults(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "store"
    asked = ask("init", "--store", folder)
    assert asked.status == 0
    assert str(folder / "store.toml") in asked.out
    assert read_config(folder / "store.toml") == StoreConfig()
    assert ask("count", "TRUE", "--store", folder, "--json").json["count"] == 0


def test_init_as_json_says_what_was_written(tmp_path: Path) -> None:
    found = ask("init", "--store", tmp_path, "--json").json
    assert found == {"store": str(tmp_path), "file": str(tmp_path / "store.toml")}


def test_init_refuses_to_write_over_anything(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text("mine", encoding="utf-8")
    (tmp_path / "a-file").write_text("", encoding="utf-8")
    for folder in (tmp_path, tmp_path / "a-file"):
        asked = ask("init", "--store", folder)
        assert asked.status == 2
        assert "nothing was written" in asked.err or "cannot write" in asked.err
    assert (tmp_path / "store.toml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "shape", [StoreConfig, LoadSpec, RfmSettings, LifecycleSettings, AffinitySettings, SegmentSpec]
)
def test_every_setting_stands_in_the_template(shape: type) -> None:
    keys = _keys(_with_examples())
    for field in dataclasses.fields(shape):
        assert {field.name, field.name.rsplit("_", 1)[-1]} & keys, field.name


def test_every_example_of_the_template_is_sound() -> None:
    raw = _with_examples()
    raw["segments"].pop("complained")
    raw["campaigns"]["spring"]["exclusions"] = []
    config = parse_config(raw)
    assert set(config.load) == {"customers", "order_lines", "products"}
    engine = Engine(config=config)
    assert {finding.severity for finding in engine.check()} <= {"note"}
    assert engine.audience("spring").count() == 0
