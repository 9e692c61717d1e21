# ruff: noqa: D102 - a class says what its attributes are
"""What does the server ask of an engine about what is defined?

All of it, as shapes, as `engine_api` has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from segengine.publish import Wanted
from segengine_server.campaign_api import MemberDiff


class Version(Protocol):
    """One definition as it was from a moment on; `definition` is None where it was deleted."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def definition(self) -> Mapping[str, Any] | None: ...
    @property
    def etag(self) -> str: ...
    @property
    def is_deleted(self) -> bool: ...
    @property
    def source(self) -> str: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def data_version(self) -> int: ...


class Catalog(Protocol):
    """What an engine says of definitions, and is told of them."""

    def publish(self, *wanted: Wanted) -> Sequence[Version]: ...
    def definition(self, kind: str, name: str, version: int | None, /) -> Version: ...
    def in_force(self) -> Sequence[Version]: ...
    def versions(self, kind: str, name: str, /) -> Sequence[Version]: ...
    def dry_run_publish(self, *wanted: Wanted) -> Sequence[MemberDiff]: ...
