"""What does `store.toml` say, and is it sound?

Every mistake is found at once and named by its place, such as `lifecycle.new_days`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from segengine import days
from segengine.errors import ConfigError, StoreError, did_you_mean
from segengine.schema.affinity_settings import AffinitySettings, read_affinity
from segengine.schema.answer_settings import read_answers
from segengine.schema.cap_settings import Cap, read_caps
from segengine.schema.config_reader import (
    Reader,
    between,
    finite_number,
    moment,
    one_of,
    share,
    text,
)
from segengine.schema.habit_settings import HabitSettings, read_habit
from segengine.schema.identifiers import is_column_name, is_definition_name
from segengine.schema.kinds import Kind, kind_named
from segengine.schema.level_settings import LevelSettings, read_levels
from segengine.schema.pool_settings import PoolSettings, read_pools
from segengine.schema.prediction_settings import PredictionSettings, read_prediction
from segengine.schema.range_mix import RangeMix, read_range_mix
from segengine.schema.response_settings import ResponseSettings, read_response
from segengine.schema.storage_settings import StorageSettings, read_storage
from segengine.schema.tables import PURCHASES, TableSpec, catalogue
from segengine.schema.text_settings import TextSettings, read_text_settings

FILE_NAME = "store.toml"
_CHANNEL_HELP = "a lower-case word such as `sms`"


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One `[load.TABLE]`: where the rows come from and what they are called there."""

    source: str | None = None
    query: str | None = None
    where: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    on_error: str = "refuse"


@dataclass(frozen=True, slots=True)
class RfmSettings:
    """`quintile`: cuts fitted to the buyers; `fixed`: four given cuts each, lowest first."""

    mode: str = "quintile"
    recency: tuple[Decimal, ...] = ()
    orders: tuple[Decimal, ...] = ()
    amount: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """Thresholds on `recency_days`, in dates; each stage reaches to its threshold, inclusive.

    thresholds: `given`: these; `fit`: by the buyers' own gaps, these where there are too few.
    """

    new_days: int = 30
    active_days: int = 60
    sleeping_days: int = 180
    thresholds: str = "given"


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """One `[segments]` entry: the rule's text, and whether it suppresses."""

    rule: str
    suppress: bool = False


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """A store's settings; the defaults are those of an absent file."""

    timezone: str = "UTC"
    currency: str = ""
    channels: tuple[str, ...] = ()
    as_of: datetime | None = None
    money_scale: int = 4
    standing_memory_mb: int = 256
    load: Mapping[str, LoadSpec] = field(default_factory=dict)
    further_tables: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    rfm: RfmSettings = RfmSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    habit: HabitSettings = field(default_factory=HabitSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
    affinity: AffinitySettings = field(default_factory=AffinitySettings)
    response: ResponseSettings = field(default_factory=ResponseSettings)
    levels: LevelSettings = field(default_factory=LevelSettings)
    answers: Mapping[str, str] = field(default_factory=dict)
    consent_missing: str = "deny"
    holdout_share: float = 0.0
    caps: tuple[Cap, ...] = ()
    text: TextSettings = field(default_factory=TextSettings)
    pools: PoolSettings = field(default_factory=PoolSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    range_mix: RangeMix = field(default_factory=RangeMix)
    constants: Mapping[str, int | float] = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, SegmentSpec] = field(default_factory=dict)
    campaigns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def tables(self) -> dict[str, TableSpec]:
        """The tables this store has, by name."""
        return catalogue(self.channels, {k: dict(v) for k, v in self.further_tables.items()})


def file_of(folder: Path) -> Path:
    """The file that makes a directory a store; `StoreError` where there is none."""
    if folder.is_file():
        raise StoreError(
            f"`{folder}` is a file, and a store is the directory that holds {FILE_NAME}; name "
            f"`{folder.parent}`",
            field="store",
        )
    if not folder.is_dir():
        raise StoreError(
            f"there is no store at `{folder}`; `segengine init --store {folder}` makes one",
            field="store",
        )
    file = folder / FILE_NAME
    if not file.is_file():
        raise StoreError(
            f"`{folder}` has no {FILE_NAME}; `segengine init --store {folder}` writes one",
            field="store",
        )
    return file


def read_config(path: Path) -> StoreConfig:
    """The settings in a `store.toml`; a `ConfigError` names the file and every mistake in it."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"`{path}` is not TOML: {error}", field=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"`{path}` is not UTF-8 text: {error}", field=str(path)) from error
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {error.strerror}", field=str(path)) from error
    try:
        return parse_config(raw)
    except ConfigError as error:
        raise ConfigError(f"`{path}`:\n{error}", field=error.field) from None


def parse_config(raw: Mapping[str, Any]) -> StoreConfig:
    """Settings from a mapping shaped like `store.toml`; all mistakes in one `ConfigError`."""
    reader = Reader()
    top = reader.section(raw, "")
    store = reader.section(top.pop("store", {}), "store")
    values: dict[str, Any] = {
        "timezone": reader.take(store, "store.timezone", _timezone, "UTC"),
        "currency": reader.take(store, "store.currency", text, ""),
        "channels": reader.take(store, "store.channels", _channels, ()),
        "as_of": reader.take(store, "store.as_of", moment, None),
        "money_scale": reader.take(store, "store.money_scale", between(0, 9), 4),
        "standing_memory_mb": reader.take(
            store, "store.standing_memory_mb", between(0, 65_536), 256
        ),
    }
    known = ["timezone", "currency", "channels", "as_of", "money_scale", "standing_memory_mb"]
    reader.nothing_left(store, "store", known)
    values["further_tables"] = _further_tables(reader, top.pop("tables", {}))
    names = catalogue(values["channels"], values["further_tables"])
    values["load"] = _loads(reader, top.pop("load", {}), names)
    values["rfm"] = _rfm(reader, top.pop("rfm", {}))
    values["lifecycle"] = _lifecycle(reader, top.pop("lifecycle", {}))
    values["habit"] = read_habit(reader, top.pop("habit", {}))
    values["prediction"] = read_prediction(reader, top.pop("prediction", {}))
    values["affinity"] = read_affinity(reader, top.pop("affinity", {}))
    values["response"] = read_response(reader, top.pop("response", {}))
    values["levels"] = read_levels(reader, top.pop("levels", {}))
    values["answers"] = read_answers(reader, top.pop("answers", {}))
    consent = reader.section(top.pop("consent", {}), "consent")
    values["consent_missing"] = reader.take(
        consent, "consent.missing", one_of("deny", "allow"), "deny"
    )
    reader.nothing_left(consent, "consent", ["missing"])
    holdout = reader.section(top.pop("holdout", {}), "holdout")
    values["holdout_share"] = reader.take(holdout, "holdout.share", share, 0.0)
    reader.nothing_left(holdout, "holdout", ["share"])
    values["caps"] = read_caps(reader, top.pop("caps", []), values["channels"])
    values["text"] = read_text_settings(reader, top.pop("text", {}))
    values["storage"] = read_storage(reader, top.pop("storage", {}))
    values["pools"] = read_pools(reader, top.pop("pools", {}))
    values["range_mix"] = read_range_mix(reader, top.pop("range_mix", {}))
    constants = reader.section(top.pop("constants", {}), "constants")
    values["constants"] = {
        name: reader.take({name: value}, f"constants.{name}", finite_number, 0)
        for name, value in constants.items()
    }
    for name in constants:
        if not is_column_name(name):
            reader.wrong(f"constants.{name}", "a constant's name is a lower-case word")
    values["traits"] = _traits(reader, top.pop("traits", {}))
    values["segments"] = _segments(reader, top.pop("segments", {}))
    for part in ("campaigns", "pages"):
        section = reader.section(top.pop(part, {}), part)
        values[part] = {k: reader.section(v, f"{part}.{k}") for k, v in section.items()}
    known = ["store", "load", "tables", "rfm", "lifecycle", "consent", "holdout", "constants"]
    known += ["habit", "prediction", "range_mix", "traits", "segments", "campaigns", "pages"]
    known += ["response", "levels", "answers"]
    known += ["text", "caps"]
    known += ["affinity", "storage"]
    reader.nothing_left(top, "", known)
    reader.finish()
    return StoreConfig(**values)


def _timezone(value: Any) -> str:
    return days.zone(text(value)).name


def _channels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise TypeError(f"must be a list of channel names, each {_CHANNEL_HELP}")
    for name in value:
        if not is_column_name(name):
            raise ValueError(f"`{name}` is not {_CHANNEL_HELP}")
    if len(set(value)) < len(value):
        raise ValueError("names a channel twice")
    return tuple(value)


def _cuts(value: Any) -> tuple[Decimal, ...]:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("must be four cuts, lowest first")
    cuts = tuple(Decimal(str(finite_number(v))) for v in value)
    if list(cuts) != sorted(cuts):
        raise ValueError("the four cuts must not fall")
    return cuts


def _rfm(reader: Reader, raw: object) -> RfmSettings:
    section = reader.section(raw, "rfm")
    mode = reader.take(section, "rfm.mode", one_of("quintile", "fixed"), "quintile")
    if mode == "quintile":
        reader.nothing_left(section, "rfm", ["mode"])
        return RfmSettings()
    cuts = {}
    for key in ("recency", "orders", "amount"):
        if key not in section:
            reader.wrong(f"rfm.{key}", "is missing: mode `fixed` needs four cuts, lowest first")
        cuts[key] = reader.take(section, f"rfm.{key}", _cuts, ())
    reader.nothing_left(section, "rfm", ["mode", "recency", "orders", "amount"])
    return RfmSettings(mode, **cuts)


def _lifecycle(reader: Reader, raw: object) -> LifecycleSettings:
    section = reader.section(raw, "lifecycle")
    defaults = LifecycleSettings()
    names = ("new_days", "active_days", "sleeping_days")
    thresholds = reader.take(
        section, "lifecycle.thresholds", one_of("given", "fit"), defaults.thresholds
    )
    read = {
        key: reader.take(section, f"lifecycle.{key}", between(0, 36_500), getattr(defaults, key))
        for key in names
    }
    reader.nothing_left(section, "lifecycle", ["thresholds", *names])
    settings = LifecycleSettings(**read, thresholds=thresholds)
    if not settings.new_days <= settings.active_days <= settings.sleeping_days:
        reader.wrong("lifecycle", "needs new_days <= active_days <= sleeping_days")
    return settings


def _further_tables(reader: Reader, raw: object) -> dict[str, dict[str, Kind]]:
    tables: dict[str, dict[str, Kind]] = {}
    builtin = [*catalogue(), PURCHASES]
    for name, columns in reader.section(raw, "tables").items():
        if not is_column_name(name):
            reader.wrong(f"tables.{name}", "a table's name is a lower-case word")
        if name in builtin:
            reader.wrong(f"tables.{name}", "is a table every store has already")
        tables[name] = {}
        for column, sql in reader.section(columns, f"tables.{name}").items():
            kind = kind_named(sql) if isinstance(sql, str) else None
            if kind is None:
                known = ", ".join(k.value for k in Kind)
                reader.wrong(f"tables.{name}.{column}", f"`{sql}` is not one of {known}")
            elif not is_column_name(column):
                reader.wrong(f"tables.{name}.{column}", "a column's name is a lower-case word")
            else:
                tables[name][column] = kind
    return tables


def _loads(reader: Reader, raw: object, tables: Mapping[str, TableSpec]) -> dict[str, LoadSpec]:
    loads: dict[str, LoadSpec] = {}
    for name, spec in reader.section(raw, "load").items():
        place = f"load.{name}"
        if name not in tables:
            reader.wrong(place, f"is not a table; {did_you_mean(name, list(tables))}".rstrip("; "))
        section = reader.section(spec, place)
        columns = reader.section(section.pop("columns", {}), f"{place}.columns")
        for column, expression in columns.items():
            if not isinstance(expression, str):
                reader.wrong(f"{place}.columns.{column}", "must be a SQL expression in quotes")
        load = LoadSpec(
            source=reader.take(section, f"{place}.source", text, None),
            query=reader.take(section, f"{place}.query", text, None),
            where=reader.take(section, f"{place}.where", text, None),
            columns=columns,
            on_error=reader.take(section, f"{place}.on_error", one_of("refuse", "skip"), "refuse"),
        )
        if load.source is not None and load.query is not None:
            reader.wrong(place, "has both `source` and `query`; keep one")
        reader.nothing_left(section, place, ["source", "query", "where", "columns", "on_error"])
        loads[name] = load
    return loads


def _traits(reader: Reader, raw: object) -> dict[str, str]:
    traits: dict[str, str] = {}
    for name, value in reader.section(raw, "traits").items():
        place = f"traits.{name}"
        if not is_column_name(name):
            reader.wrong(place, "a trait's name is a lower-case word")
        traits[name] = reader.take({name: value}, place, text, "")
    return traits


def _segments(reader: Reader, raw: object) -> dict[str, SegmentSpec]:
    segments: dict[str, SegmentSpec] = {}
    for name, value in reader.section(raw, "segments").items():
        place = f"segments.{name}"
        if not is_definition_name(name):
            reader.wrong(place, "a name is printable text without spaces at its ends")
        if isinstance(value, str):
            segments[name] = SegmentSpec(value)
            continue
        section = reader.section(value, place)
        if "rule" not in section:
            reader.wrong(place, "needs a `rule`")
        rule = reader.take(section, f"{place}.rule", text, "")
        suppress = section.pop("suppress", False)
        if not isinstance(suppress, bool):
            reader.wrong(f"{place}.suppress", "must be true or false")
        reader.nothing_left(section, place, ["rule", "suppress"])
        segments[name] = SegmentSpec(rule, suppress is True)
    return segments
