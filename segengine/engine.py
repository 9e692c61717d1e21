"""The one door: opens a store, takes batches in, answers questions.

Everything below is told the moment it works for; only here is a clock asked. One writer at a
time changes the tables, behind a gate that readers pass; a batch is in or out, never half.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import days, hand_out
from segengine.audiences.audience import Audience
from segengine.audiences.bucketing import Buckets
from segengine.audiences.campaign import Campaign
from segengine.definitions import Definitions
from segengine.errors import (
    ConfigError,
    LoadError,
    NotBuiltYetError,
    RuleError,
    StoreError,
    UnknownCustomer,
)
from segengine.ingest.report import LoadReport
from segengine.ingest.stage import LoadRequest, Progress, stage
from segengine.pages.decide import PageAnswer, decide
from segengine.pages.page import Page
from segengine.reports import catalogue as reports
from segengine.reports.asked import refused
from segengine.reports.report import Report, Source
from segengine.rules import overlap
from segengine.rules.block import Clock
from segengine.rules.builder import Rule
from segengine.rules.catalogue import Finding, SegmentCatalogue, read_rule
from segengine.rules.check import Vocabulary, check
from segengine.rules.lint import lint
from segengine.rules.match import SegmentMatcher
from segengine.rules.population import Population
from segengine.rules.segment import PlansKept, Segment, View, ids_of
from segengine.rules.selection import Selection
from segengine.rules.standing import Standing
from segengine.rules.term import CheckedRule
from segengine.schema.answer_settings import MOST_QUESTIONS
from segengine.schema.response_settings import Goal
from segengine.schema.store_config import FILE_NAME, StoreConfig, parse_config, read_config
from segengine.schema.tables import PRODUCTS
from segengine.storage.snapshot import read_snapshot, write_snapshot
from segengine.tables.affinities import KINDS as AFFINITY_KINDS
from segengine.tables.apply import apply
from segengine.tables.settle import settle, unsettled
from segengine.tables.tables import Tables
from segengine.traits import answers
from segengine.traits import preview as previewing
from segengine.traits.build import Building, build_all, declare, refresh
from segengine.traits.marketing import addressed
from segengine.traits.preview import Built, Preview
from segengine.traits.products import ProductTraits
from segengine.traits.work import Fits, TraitSettings

_LATE = 5 * days.MINUTE
_NO_TRAIT = (
    "no trait holds its answers: its text gives no name of its own, or there are "
    f"{MOST_QUESTIONS} already; give it a name under [answers] in store.toml"
)
_FEED_TRAITS = frozenset({"customers", "products", "orders", "order_lines", "behaviors", "messages",
                          "reviews", "points"})  # fmt: skip


class Engine:
    """A store in memory: buyers, events, traits, and every question about them.

    timezone: an IANA name; as_of: the moment answers are true for, by default the clock when
    opened; config: a mapping shaped like `store.toml`.
    """

    def __init__(
        self,
        timezone: str | None = None,
        as_of: datetime | None = None,
        config: Mapping[str, Any] | StoreConfig | None = None,
    ) -> None:
        settings = config if isinstance(config, StoreConfig) else parse_config(config or {})
        self.config = settings
        self.folder: Path | None = None
        self._zone = days.zone(timezone or settings.timezone)
        fixed = as_of if as_of is not None else settings.as_of
        self.as_of_is_fixed = fixed is not None
        self._as_of = days.micros(fixed or datetime.now(UTC), self._zone)
        self._tables = Tables(settings.tables(), money_scale=settings.money_scale)
        self._settings = TraitSettings(self._zone, settings)
        self._tables.as_of = self._as_of
        declare(self._tables)
        self._buckets = Buckets(self._tables.customers)
        self._product_traits = ProductTraits(self._tables, self._settings, lambda: self._fits)
        self._population = Population(
            self._tables,
            self._buckets,
            self._product_traits,
            standing=Standing(settings.standing_memory_mb << 20),
        )
        self._writer = threading.RLock()
        self._builds_later = False
        self._version = 0
        self._view: View | None = None
        self._plans: PlansKept = {}
        self._definitions = Definitions(settings, self._zone, self._words, self._words_state)
        self._segment_matcher = SegmentMatcher(self._definitions.segments)
        goals = {name: campaign.aim for name, campaign in self._definitions.campaigns.items()}
        self._settings = replace(self._settings, goals=goals)
        self._fits = self._rebuilt()

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """The store in a directory with a `store.toml`; its snapshot, if any, is mapped."""
        folder = Path(path)
        if not folder.is_dir():
            raise StoreError(
                f"there is no store at `{folder}`; `segengine init --store {folder}` makes one",
                field="store",
            )
        if not (folder / FILE_NAME).is_file():
            raise StoreError(
                f"`{folder}` has no {FILE_NAME}; `segengine init --store {folder}` writes one",
                field="store",
            )
        engine = cls(config=read_config(folder / FILE_NAME))
        engine.folder = folder
        if read_snapshot(engine._tables, folder):
            engine._moved(engine._as_of, unsettled(engine._tables, engine._as_of))
            engine._fits = engine._rebuilt()
            engine.prepare()
        return engine

    def close(self) -> None:
        """Let go of the store. Appends are in memory alone until the event log is built."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the moment -------------------------------------------------------------------------

    @property
    def timezone(self) -> str:
        """The store's timezone."""
        return self._zone.name

    @property
    def as_of(self) -> datetime:
        """The moment answers are true for, in UTC."""
        return days.moment(self._as_of)

    @property
    def data_version(self) -> int:
        """Grows with every change of data, definitions or moment."""
        return self._version

    @property
    def id_kind(self) -> str:
        """`BIGINT` or `VARCHAR`: what a customer_id is here, fixed by the first load."""
        return self._tables.customers.columns["customer_id"].kind.value

    def advance(self, moment: datetime) -> None:
        """Answer for another moment, later or earlier; naive is in the store's timezone."""
        if not isinstance(moment, datetime):
            raise ConfigError(f"advance takes a moment, not `{moment}`", field="as_of")
        self._advance(days.micros(moment, self._zone))

    def tick(self) -> None:
        """Follow the clock, unless as_of is fixed."""
        if not self.as_of_is_fixed:
            self._advance(days.micros(datetime.now(UTC), self._zone))

    def _advance(self, target: int) -> None:
        with self._writer:
            before = self._as_of
            if target == before:
                return
            orders = unsettled(self._tables, target)
            if self._zone.day_of(before) == self._zone.day_of(target):
                touched = self._touched_between(min(before, target), max(before, target))
                with self._tables.gate.writing():
                    self._moved(target, orders)
                    self._refreshed(touched)
                    self._population.standing.note(touched)
            elif len(orders):
                with self._tables.gate.writing():
                    self._moved(target, orders)
                    self._fits = self._rebuilt()
            else:
                blocks, lists, fits = build_all(self._tables, self._settings, target)
                codes = self._tables.customers.codes_for(blocks)
                with self._tables.gate.writing():
                    self._moved(target, orders)
                    self._tables.customers.install_blocks(blocks, codes)
                    self._tables.install_lists(lists)
                    self._population.standing.clear()
                    self._fits = fits
                    self._are_fits_current = True

    def _moved(self, target: int, orders: NDArray[np.int64]) -> None:
        self._as_of = self._tables.as_of = target
        settle(self._tables, orders)
        self._version += 1

    def _touched_between(self, after: int, until: int) -> NDArray[np.int64]:
        """The buyers of events that come into sight, or go, between two moments."""
        found = [np.empty(0, np.int64)]
        for table in self._tables.events.values():
            if table.latest > after:
                times = table.columns["time"].values[: table.rows]
                owners = table.extra("owner")[: table.rows][(times > after) & (times <= until)]
                found.append(owners[owners >= 0].astype(np.int64))
        return np.unique(np.concatenate(found))

    # --- data in ----------------------------------------------------------------------------

    def load(
        self,
        table: str,
        source: Any = None,
        *,
        query: str | None = None,
        columns: Mapping[str, str] | None = None,
        where: str | None = None,
        on_error: str = "refuse",
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> LoadReport:
        """Add rows to a table, refit population values, and keep them in the store's directory.

        source: a path, a glob (CSV, Parquet, JSON), or any Arrow-speaking object; `query`, one
        SELECT, in its place. columns: our column -> a DuckDB expression over the source's.
        where: rows to take, on the source's columns. on_error: "refuse" changes nothing when a
        row is bad, "skip" leaves bad rows out. progress, building: told how many rows are read,
        then which family of traits is built. Raises `LoadError` with every reason.
        """
        request = LoadRequest(
            table, source, query, columns or {}, where, on_error, self.folder or Path()
        )
        with self._writer:
            report = self._load(request, progress, building)
            if self.folder is not None:
                write_snapshot(self._tables, self.folder)
        return report

    def load_configured(
        self,
        tables: Sequence[str] = (),
        *,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> list[LoadReport]:
        """Load the `[load.TABLE]` sections of `store.toml` as one change, write one snapshot."""
        chosen = list(tables) or list(self.config.load)
        for name in chosen:
            if name not in self.config.load:
                raise LoadError(f"store.toml has no `[load.{name}]`", field=f"load.{name}")
        if not chosen:
            raise LoadError("store.toml has no `[load.TABLE]` section; name a table and a source",
                            field="load")  # fmt: skip
        with self._writer:
            reports = []
            with self.built_once(building):
                for name in chosen:
                    spec = self.config.load[name]
                    request = LoadRequest(
                        name, spec.source, spec.query, spec.columns, spec.where, spec.on_error,
                        self.folder or Path(),
                    )  # fmt: skip
                    reports.append(self._load(request, progress))
            if self.folder is not None:
                write_snapshot(self._tables, self.folder)
        self.prepare()
        return reports

    def _load(
        self,
        request: LoadRequest,
        progress: Progress | None,
        building: Building | None = None,
    ) -> LoadReport:
        batch, report = stage(self._tables, request, self.timezone, progress=progress)
        if self._builds_later:
            change = apply(self._tables, batch)
            return _counted(report, change.rows, change.repeats)
        with self._tables.gate.writing():
            change = apply(self._tables, batch)
            if request.table in _FEED_TRAITS:
                self._fits = self._rebuilt(building)
            else:
                self._refreshed(change.touched)
                self._note(request.table, change.touched)
            self._version += 1
        return _counted(report, change.rows, change.repeats)

    @contextmanager
    def built_once(self, building: Building | None = None) -> Iterator[None]:
        """Loads within build the traits once, at the end: several tables are one change.

        Nobody is answered until then, whoever asks within would wait for ever. What was loaded
        before an error stays, and is built. building: told how far that is.
        """
        with self._writer, self._tables.gate.writing():
            self._builds_later = True
            try:
                yield
            finally:
                self._builds_later = False
                self._fits = self._rebuilt(building)
                self._version += 1

    def prepare(self) -> None:
        """Make the scan codes of every column now, not at its first scan (a byte a buyer each).

        `open` does it, and whoever loads a store to serve it should.
        """
        customers = self._tables.customers
        with self._tables.gate.reading():
            for column in (*customers.columns.values(), *customers.traits.values()):
                if column.is_allocated:
                    column.scan_codes(customers.rows)

    def append(self, table: str, data: Any, *, on_error: str = "refuse") -> LoadReport:
        """Add rows that have just happened; every trait but fitted ones is current at once.

        Events up to 5 minutes after as_of are stored at as_of; later ones are bad. Until the
        event log is built, appended rows live in memory alone.
        """
        request = LoadRequest(table, data, on_error=on_error, folder=self.folder or Path())
        with self._writer:
            batch, report = stage(
                self._tables, request, self.timezone, latest=self._as_of + _LATE, as_of=self._as_of
            )
            with self._tables.gate.writing():
                change = apply(self._tables, batch)
                self._refreshed(change.touched)
                self._note(request.table, change.touched)
                self._version += 1
        return _counted(report, change.rows, change.repeats)

    def delete_customer(self, customer_id: int | str) -> None:
        """Take a buyer out of every answer at once; `UnknownCustomer` for an unknown one."""
        with self._writer:
            row = self._tables.customers.row_of(customer_id)
            if row is None:
                raise UnknownCustomer(customer_id)
            with self._tables.gate.writing():
                for table in self._tables.events.values():
                    table.disown(row)
                self._tables.customers.forget(row)
                rows = np.array([row], np.int64)
                self._refreshed(rows)
                self._population.standing.note(rows)
                self._version += 1

    def _note(self, table: str, touched: NDArray[np.int64]) -> None:
        """Let kept bitmaps follow a change; one of a product reaches whoever has its events."""
        if table == PRODUCTS:
            self._population.standing.clear()
        else:
            self._population.standing.note(touched)

    def _refreshed(self, rows: NDArray[np.int64]) -> None:
        """Bring the traits of these buyers up to date; the fits stay as they are."""
        refresh(self._tables, self._settings, self._as_of, self._fits, rows)
        self._are_fits_current = False

    def _rebuilt(self, building: Building | None = None) -> Fits:
        blocks, _, fits = build_all(
            self._tables, self._settings, self._as_of, in_place=True, progress=building
        )
        self._are_fits_current = True
        customers = self._tables.customers
        customers.install_blocks(blocks, customers.codes_for(blocks))
        self._population.standing.clear()
        return fits

    # --- definitions ------------------------------------------------------------------------

    @property
    def segments(self) -> SegmentCatalogue:
        """The defined segments."""
        return self._definitions.segments

    @property
    def campaigns(self) -> Mapping[str, Campaign]:
        """The defined campaigns by name."""
        return self._definitions.campaigns

    @property
    def pages(self) -> Mapping[str, Page]:
        """The defined pages by name."""
        return self._definitions.pages

    def define_segment(self, name: str, rule: str | Rule, *, suppress: bool = False) -> None:
        """Name a rule; `segment('name')` means it elsewhere, suppress=True keeps it unaddressed."""
        with self._writer:
            self.segments.define(name, rule, suppress=suppress)
            self._version += 1

    def define_campaign(self, campaign: Campaign) -> None:
        """Add or replace a campaign; a mistake in one of its rules leaves all as it was."""
        with self._writer:
            self._definitions.put_campaign(campaign)
            self._put_goal(campaign.name, campaign.aim)
            self._version += 1

    def _put_goal(self, campaign: str, goal: Goal) -> None:
        """Judge the messages of a campaign by another goal: their buyers' traits follow."""
        goals = self._settings.goals
        changed = goals.get(campaign, Goal()) != goal
        self._settings = replace(self._settings, goals={**goals, campaign: goal})
        touched = addressed(self._tables, campaign) if changed else np.empty(0, np.int64)
        if len(touched):
            with self._tables.gate.writing():
                self._refreshed(touched)
                self._population.standing.note(touched)

    def define_page(self, page: Page) -> None:
        """Add or replace a page; a mistake in one of its rules leaves all as it was."""
        with self._writer:
            self._definitions.put_page(page)
            self._version += 1

    def define_trait(self, name: str, expression: str | Rule) -> None:
        """Name an expression of the rule language; rules may use it at once as any trait.

        It is evaluated where it is asked, so it is current after every append.
        """
        with self._writer:
            self.segments.define_trait(name, expression)
            self._version += 1

    def _words(self) -> Vocabulary:
        tables = self._tables
        return Vocabulary(
            self._population.kinds(),
            self._zone,
            tables.money_scale,
            self.config.constants,
            events={
                name: {n: c.kind for n, c in table.columns.items()}
                for name, table in tables.events.items()
            },
            products=self._population.products.kinds(),
            affinities=AFFINITY_KINDS,
        )

    def _words_state(self) -> object:
        tables = self._tables
        everything = (tables.customers, tables.products, *tables.events.values())
        traits = len(tables.customers.traits)
        return tuple(len(t.columns) for t in everything), len(tables.identifier_kinds), traits

    def check(self) -> list[Finding]:
        """What is wrong with the store's definitions, and what may not be meant so.

        Severities: `error` for what cannot be used; `warning` for a rule that is always or never
        true, or the same as another; `note` for one within another, one that nothing uses, and
        windows of a day more than they seem. An empty list is a good answer.
        """
        with self._looking() as view:
            found = self._definitions.findings()
            rules, used = self._definitions.placed(view.plan)
            found += [
                Finding(f'survey question "{question}"', "note", _NO_TRAIT)
                for question, trait in answers.questions(self._tables, self.config).items()
                if trait is None
            ]
        return found + lint(rules, used, self._population.domain)

    @property
    def survey_questions(self) -> dict[str, str | None]:
        """The questions that surveys asked, in the order first seen, each with its trait.

        The trait holds a buyer's last answer; None: see `check`.
        """
        with self._tables.gate.reading():
            return answers.questions(self._tables, self.config)

    # --- questions --------------------------------------------------------------------------

    @contextmanager
    def _looking(self, *, urgent: bool = False) -> Iterator[View]:
        with self._tables.gate.reading(urgent=urgent):
            view = self._view
            if view is None or view.data_version != self._version:
                clock = Clock(self._as_of, self._zone)
                self._population.version = self._version
                declared = self.segments.declared()
                view = View(self._population, clock, self._version, self._plans, declared)
                self._view = view
            yield view

    def segment(self, rule: str | Rule) -> Segment:
        """The buyers a rule holds for, as a live question; `RuleError` lists its mistakes."""
        memory: dict[object, CheckedRule] = {}

        def checked() -> CheckedRule:
            state = self.segments.state()
            found = memory.get(state)
            if found is None:
                memory.clear()
                found = memory[state] = self._definitions.rule(rule)
            return found

        checked()
        return Segment(checked, self._looking)

    def products(self, rule: str | Rule) -> Selection:
        """The products a rule over their columns and traits holds for, as a live question.

        For example `matrix_class = 'star' AND stock > 0`. `RuleError` lists its mistakes.
        """
        memory: dict[object, CheckedRule] = {}

        def checked() -> CheckedRule:
            state = self._words_state()
            if state not in memory:
                memory.clear()
                words = replace(self._words(), of_products=True)
                expr, text = read_rule(rule, "")
                memory[state] = check(expr, words, text)
            return memory[state]

        checked()
        return Selection(checked, self._looking)

    def match(self, customer_id: int | str) -> list[str]:
        """The names of every defined segment that holds for a buyer, sorted."""
        with self._looking(urgent=True) as view:
            return self._segment_matcher.names(view, view.row_of(customer_id))

    def audience(self, name: str) -> Audience:
        """Who gets a campaign, at this moment, as a frozen answer with its ledger."""
        with self._looking() as view:
            checked = self._definitions.campaign(name)
            policy = self._definitions.policy(self._tables.events["messages"])
            return Audience(checked, view, policy, self._buckets, self._looking)

    def page(
        self,
        name: str,
        customer_id: int | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> PageAnswer:
        """What a visitor sees on a page, as a frozen answer with its reasons."""
        given = {str(k).lower(): str(v) for k, v in (context or {}).items() if v is not None}
        with self._looking(urgent=True) as view:
            return decide(self._definitions.page(name), view, customer_id, given)

    def plan_campaigns(self, names: Sequence[str], by: str = "priority") -> None:
        """Arbitration among campaigns is not built yet."""
        del names, by
        raise NotBuiltYetError("plan_campaigns: arbitration is not built yet")

    def run_campaign(self, name: str) -> None:
        """Runs are not built yet."""
        raise NotBuiltYetError(f"run_campaign `{name}`: runs are not built yet")

    def record_messages(self, data: Any) -> None:
        """Recording messages against runs is not built yet."""
        del data
        raise NotBuiltYetError("record_messages: runs are not built yet; append to `messages`")

    def page_census(self, name: str) -> None:
        """The census of a page is not built yet."""
        raise NotBuiltYetError(f"page_census `{name}`: the census is not built yet")

    def overlap(self, names: Sequence[str] | None = None) -> pa.Table:
        """Table(left, right, count): how many buyers each two segments share, each pair once.

        names: segments, in the order of the table; None is for all, at most 256. A segment with
        itself is its size. Raises `UnknownNameError` for one that is not defined, `RuleError`
        for one that cannot be.
        """
        with self._looking() as view:
            asked = overlap.chosen(names, list(self.segments.definitions))
            rules = [self.segments.rule_of(name) for name in asked]
            bitmaps = overlap.bitmaps_of(rules, view)
        return overlap.overlap(asked, bitmaps)

    # --- data out ---------------------------------------------------------------------------

    @property
    def fits(self) -> Fits:
        """The fitted cut points and the moment of their fit."""
        return self._fits

    def preview(self, config: Mapping[str, Any]) -> Preview:
        """What other settings would do to the buyers; they are not changed, nor is anything else.

        config: a mapping shaped like `store.toml` with what would be another, such as
        `{"lifecycle": {"active_days": 50}}`. Both sides are fitted to the same buyers, so that
        cut points of before the last appends make no difference. Raises `ConfigError` with
        every mistake.
        """
        changed = previewing.changed_config(self.config, config)
        with self._writer:
            now = self._built(self._settings, current=True)
            then = self._built(replace(self._settings, config=changed))
            tables, rows = self._tables, self._tables.customers.count
            return Preview(
                self.as_of, self._version, rows,
                previewing.settings_changed(self.config, changed),
                previewing.stage_moves(tables, now, then),
                previewing.traits_affected(tables, now, then),
                now.fits.shown, then.fits.shown,
            )  # fmt: skip

    def _built(self, settings: TraitSettings, *, current: bool = False) -> Built:
        """All traits built beside those in use; those in use where they are the same."""
        if current and self._are_fits_current:
            return Built(self._tables.customers.blocks(), self._tables.lists(), self._fits)
        return Built(*build_all(self._tables, settings, self._as_of))

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A copy of a table up to as_of: given columns; for customers and products every trait."""
        with self._looking() as view:
            return hand_out.arrow_table(self._tables, view, name, columns)

    def connect(self, tables: Sequence[str] | None = None) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection over copies of the tables (all, or those named) up to as_of."""
        with self._looking() as view:
            return hand_out.connection(self._tables, view, tables, self.timezone)

    def report(self, name: str, *segments: str | Rule, **options: Any) -> Report:
        """What the store's buyers and sales come to: `rfm`, `lifecycle`, `products`, and so on.

        segments: those that the report is about, each the name of a defined one or a rule.
        options: the report's own. Raises `UnknownNameError` for a name that is no report's,
        `ReportError` for a question it cannot answer, `RuleError` for a segment that cannot be.
        """
        entry = reports.entry_of(name, segments, options)
        asked = {f"segment_{place}": each for place, each in enumerate(segments, 1)}
        asked |= {o: options[o] for o in entry.segment_options if options.get(o) is not None}
        rules = {table: self._asked(each) for table, each in asked.items()}
        with self._looking() as view:
            wanted = reports.wanted_columns(entry, hand_out.columns_of(self._tables, view), options)
            connected = hand_out.connection(self._tables, view, wanted, self.timezone)
            for table, rule in rules.items():
                ids = ids_of(view.population, view.words(rule))
                connected.register(table, pa.table({"customer_id": ids}))
            source = Source(
                connected, days.moment(view.clock.as_of), view.data_version, self.timezone,
                self.config.currency, self.config, self._fits,
                {table: tuple(columns) for table, columns in wanted.items()},
                tuple(str(each) for each in segments),
            )  # fmt: skip
        with connected:
            return entry.make(source, **options)

    def _asked(self, segment: str | Rule) -> CheckedRule:
        """The rule of a segment: what its name means, where it is a defined one's."""
        if isinstance(segment, str) and segment in self.segments.definitions:
            return self.segments.rule_of(segment)
        try:
            return self._definitions.rule(segment)
        except RuleError as error:
            raise refused(segment, list(self.segments.definitions), error) from error

    def memory(self) -> pa.Table:
        """Bytes held, by table and column, the largest first."""
        with self._tables.gate.reading():
            return hand_out.memory_table(
                self._tables, self._buckets.nbytes(), self._population.standing.nbytes(),
                self._product_traits.nbytes(),
            )  # fmt: skip


def _counted(report: LoadReport, rows: int, repeats: int) -> LoadReport:
    if not repeats:
        return report
    return LoadReport(
        report.table, report.rows_read, rows, report.rows_skipped, repeats, report.problems,
        report.ignored_columns, report.seconds,
    )  # fmt: skip
