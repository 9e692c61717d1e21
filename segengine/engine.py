"""The one door: everything that can be asked of a store, and told to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import duckdb
import pyarrow as pa

from segengine import hand_out, reporting, running
from segengine.audiences.asking import Asking
from segengine.audiences.audience import Audience, audience
from segengine.audiences.campaign import Campaign
from segengine.audiences.member_diff import MemberDiff
from segengine.audiences.plan import CampaignPlan, plan_names, plan_of
from segengine.audiences.runs import Run, Runs, planned
from segengine.dry_run import Trying, asked
from segengine.errors import (
    DefinitionError,
    SegengineError,
)
from segengine.pages.bought_together import bought_together
from segengine.pages.census import Census, census
from segengine.pages.decide import PageAnswer, decide
from segengine.pages.page import Page
from segengine.publish import Wanted
from segengine.reports.report import Report
from segengine.rules import overlap
from segengine.rules.builder import Rule
from segengine.rules.catalogue import Definition, Finding, SegmentCatalogue, read_rule
from segengine.rules.check import check
from segengine.rules.lint import lint
from segengine.rules.request import request_texts
from segengine.rules.segment import Segment, View, rechecked
from segengine.rules.selection import Selection
from segengine.rules.term import CheckedRule
from segengine.rules.unfitted import unfitted
from segengine.schema.answer_settings import MOST_QUESTIONS
from segengine.schema.store_config import StoreConfig, file_of, parse_config, read_config
from segengine.storage.durable import MovedOnError
from segengine.store import Store
from segengine.traits import answers
from segengine.traits import preview as previewing
from segengine.traits.prediction import PREDICTION, refused_traits
from segengine.traits.preview import Preview
from segengine.traits.work import Fits
from segengine.versions import Version, everything
from segengine.written import CAMPAIGN, PAGE, SEGMENT, TRAIT

_TURNS = 3
"""How often a directory is read anew that another process loads into meanwhile."""
_NO_TRAIT = (
    "no trait holds its answers: its text gives no name of its own, or there are "
    f"{MOST_QUESTIONS} already; give it a name under [answers] in store.toml"
)


class Engine(Store):
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
        fixed = as_of if as_of is not None else settings.as_of
        super().__init__(settings, timezone or settings.timezone, fixed or _now())
        self.as_of_is_fixed = fixed is not None
        self._trying = Trying(self._catalogue, self._looking, self._buckets)

    @classmethod
    def open(
        cls, path: str | PathLike[str], *, read_only: bool = False, as_kept: bool = False
    ) -> Self:
        """The store in a directory with a `store.toml`; its snapshot, if any, is mapped.

        read_only: whatever would write to the directory is refused with a `StoreError`. as_kept:
        answer for the date that the snapshot was written on, and be asked at once; `tick` goes on
        to the moment by the clock, which takes as long as at midnight. A fixed as_of goes before.
        """
        folder = Path(path)
        settings = file_of(folder)
        for turn in range(1, _TURNS + 1):
            engine = cls(config=read_config(settings))
            stays = as_kept and not engine.as_of_is_fixed
            try:
                engine._live_in(folder, read_only=read_only, as_kept=stays)
                break
            except MovedOnError:
                engine.close()
                if turn == _TURNS:
                    raise
        return engine

    def catch_up(self) -> Thread:
        """Follow the clock on a thread, for a store that was opened as it was kept.

        Questions are answered meanwhile, for the moment before; whoever changes the store waits.
        """
        begun = Event()

        def follow() -> None:
            with self._writer:
                begun.set()
                self.tick()

        thread = Thread(target=follow, name="catching-up")
        thread.start()
        begun.wait()
        return thread

    def tick(self) -> None:
        """Follow the clock, unless as_of is fixed."""
        if not self.as_of_is_fixed:
            self.advance(_now())

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
        expr, text = read_rule(rule, f'segment "{name}"')
        given = Definition(name, expr, text, suppress)
        self.publish(Wanted(SEGMENT, name, given), sound=False)

    def define_campaign(self, campaign: Campaign) -> None:
        """Add or replace a campaign; a mistake in one of its rules leaves all as it was."""
        self.publish(Wanted(CAMPAIGN, campaign.name, campaign), sound=False)

    def define_page(self, page: Page) -> None:
        """Add or replace a page; a mistake in one of its rules leaves all as it was."""
        if not isinstance(page, Page):
            raise DefinitionError(f"a page is a `Page(name, slots)`, not `{page}`", field="page")
        self.publish(Wanted(PAGE, page.name, page), sound=False)

    def define_trait(self, name: str, expression: str | Rule) -> None:
        """Name an expression of the rule language; rules may use it at once as any trait.

        It is evaluated where it is asked, so it is current after every append.
        """
        expr, text = read_rule(expression, f'trait "{name}"')
        self.publish(Wanted(TRAIT, name, Definition(name, expr, text)), sound=False)

    def undefine(self, kind: str, name: str) -> Version:
        """Delete a `segment`, `trait`, `campaign` or `page`; its versions stay, and this is one.

        Raises `UnknownNameError` where there is none, `InUseError` with those that name it.
        """
        return self.publish(Wanted(kind, name, None))[0]

    def publish_all(self, config: Mapping[str, Any] | StoreConfig) -> tuple[Version, ...]:
        """Put the definitions of another `store.toml` into force, as one change.

        Its segments, traits, campaigns and pages; what it does not define stays as it is, and its
        other sections are not looked at. Refused as `publish` refuses, see `dry_run_all`.
        """
        settings = config if isinstance(config, StoreConfig) else parse_config(config)
        with self._writer:
            found = everything(self._definitions.draft_of(settings))
            return self.publish(*(Wanted(kind, name, given) for kind, name, given in found))

    def definition(self, kind: str, name: str, version: int | None = None) -> Version:
        """A definition as it is in force, or one of its versions; `UnknownNameError` for none."""
        return self._catalogue.find(kind, name, version)

    def in_force(self) -> list[Version]:
        """Every definition in force, by kind, then by name."""
        return self._catalogue.in_force()

    def versions(self, kind: str, name: str) -> tuple[Version, ...]:
        """Every version of a `segment`, `trait`, `campaign` or `page`, the oldest first.

        Raises `UnknownNameError` for a name that was never defined.
        """
        return self._catalogue.versions.of(kind, name)

    def defined(self) -> list[tuple[str, str]]:
        """The kind and name of everything that has versions, in the order first defined."""
        return self._catalogue.versions.names()

    def restore(self, kind: str, name: str, version: int) -> Version:
        """Define an old version anew: the newest is what it was, in force at once.

        What no longer checks is refused as any definition is, and leaves all as it was.
        """
        with self._writer:
            given = self._catalogue.versions.one(kind, name, version).defined()
            return self.publish(Wanted(kind, name, given), sound=False)[0]

    def dry_run(
        self,
        definition: Campaign | Page | str | tuple[Any, ...],
        rule: str | Rule | None = None,
        *,
        suppress: bool = False,
    ) -> MemberDiff:
        """What publishing a definition would change, against the one in force; nothing changes.

        definition: a campaign, a page, or a segment as its name and its rule:
        `dry_run("vip", "spent > 90")` or `dry_run(("vip", "spent > 90", True))` where it
        suppresses. Refused as `define` would refuse it.
        """
        kind, name, given = asked(definition, rule, suppress=suppress)
        with self._writer:
            return self._trying.one(kind, name, given)

    def dry_run_all(
        self, config: Mapping[str, Any] | StoreConfig, *, whole: bool = True
    ) -> tuple[MemberDiff, ...]:
        """What publishing another `store.toml` would change: of each definition that differs.

        Segments, traits, campaigns and pages of `config` take the place of all those in force,
        together, in a directory of those of its `store.toml`; whole=False: of those of their names.
        Its other sections are not looked at. A `DefinitionError` has everything that could no
        longer be used.
        """
        settings = config if isinstance(config, StoreConfig) else parse_config(config)
        with self._writer:
            return self._trying.file(settings, whole=whole)

    def dry_run_publish(self, *wanted: Wanted) -> tuple[MemberDiff, ...]:
        """What `publish` would change, of each definition, all tried together; nothing changes.

        Refused where a definition itself cannot be. What is in use and would go, or could no
        longer be used, is in `downstream` with its error, and refused only by `publish`.
        """
        with self._writer:
            return self._trying.together(wanted)

    def member_diff(
        self, kind: str, name: str, before: int, after: int | None = None
    ) -> MemberDiff:
        """Who enters and who leaves from one version of a definition to another, as of now.

        after None: the version in force. Everything else is as it is now on both sides.
        """
        with self._writer:
            return self._trying.versions(kind, name, before, after)

    def check(self) -> list[Finding]:
        """What is wrong with the store's definitions, and what may not be meant so.

        Severities: `error` for what cannot be used; `warning` for a rule that is always or never
        true, the same as another, or of a trait that nobody has because its model was refused,
        and for a campaign that excludes itself; `note` for campaigns that are the same, a segment
        within another, one that nothing uses, windows of a day more than they seem, and pools that
        name unknown products or have none. An empty list is a good answer.
        """
        with self._looking() as view:
            found = self._definitions.findings()
            rules, used = self._definitions.placed(view.plan)
            missing = refused_traits(self._current.fits.of[PREDICTION.name])
            found += unfitted(self._definitions.read(rules), missing)
            found += self._definitions.campaign_notes(view)
            found += self._definitions.pool_notes(view)
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

    def prepare(self) -> None:
        """Make now what the first question of its kind would wait for.

        Scan codes, of a byte a buyer for every column, and the rules of every page. `open` makes
        the codes; whoever loads a store to serve it should call this.
        """
        super().prepare()
        for name in self.pages:
            # Whoever asks for a page that cannot be is told why.
            with suppress(SegengineError):
                self.page(name)

    # --- questions --------------------------------------------------------------------------

    def segment(self, rule: str | Rule) -> Segment:
        """The buyers a rule holds for, as a live question; `RuleError` lists its mistakes."""
        checked = rechecked(self.segments.state, lambda: self._definitions.rule(rule))
        return Segment(checked, self._looking)

    def products(self, rule: str | Rule) -> Selection:
        """The products a rule over their columns and traits holds for, as a live question.

        For example `matrix_class = 'star' AND stock > 0`. `RuleError` lists its mistakes.
        """

        def check_now() -> CheckedRule:
            expr, text = read_rule(rule, "")
            return check(expr, replace(self._words(), of_products=True), text)

        return Selection(rechecked(self._words_state, check_now), self._looking)

    def bought_together(self, product_id: int | str) -> pa.Table:
        """Table(product_id, score, orders): what is bought with a product, the nearest first.

        At most 20, by cosine over the orders of the last 365 dates with 2 to 50 products, as of
        the last load or new date. `UnknownNameError` for a product that the shop has not given.
        """
        with self._looking() as view:
            return bought_together(self._definitions.ranker.together, view, product_id)

    def match(self, customer_id: int | str) -> list[str]:
        """The names of every defined segment that holds for a buyer, sorted."""
        with self._looking(urgent=True) as view:
            return self._segment_matcher.names(view, view.row_of(customer_id))

    def audience(self, name: str) -> Audience:
        """Who gets a campaign, at this moment, as a frozen answer with its ledger."""
        with self._looking() as view:
            checked = self._definitions.campaign(name)
            return audience(checked, self._asking(view), self._looking)

    def page(
        self,
        name: str,
        customer_id: int | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> PageAnswer:
        """What a visitor sees on a page, as a frozen answer with its reasons."""
        with self._tables.gate.reading(urgent=True):
            view = self._view_now()
            # Whoever defines anything ends the view.
            checked = view.pages.get(name)
            if checked is None:
                checked = view.pages[name] = self._definitions.page(name)
            return decide(checked, view, customer_id, request_texts(context))

    def plan_campaigns(self, names: Sequence[str], by: str = "priority") -> CampaignPlan:
        """Who gets which of these campaigns, as they compete for buyers whom caps protect.

        by: `priority`: the higher first, then the buyer's higher value, then the name; `value`:
        the buyer's value, missing last, then priority, then name. Whom a campaign wins, held out
        or not, counts towards the caps of those after it. The order of `names` says nothing.
        """
        with self._looking() as view:
            checked = [self._definitions.campaign(name) for name in
                       plan_names(names, self.campaigns, by)]  # fmt: skip
            return plan_of(checked, by, self._asking(view), self._looking)

    def _asking(self, view: View) -> Asking:
        return Asking(view, self._definitions.policy(), self._buckets)

    def run_campaign(self, name: str, *, plan: CampaignPlan | None = None) -> Run:
        """Freeze who gets a campaign, in which arm and when; lasting before it is returned.

        plan: take the campaign's audience of a plan, which must be of the data as it is. Raises
        `RunError` outside the campaign's window and day-parts. The data version stays: a run is
        seen by caps when its messages are recorded.
        """
        with self._writer:
            self.claim()
            campaign = self._definitions.campaign(name).campaign
            answer = self.audience(name) if plan is None else planned(plan, name)
            return running.run(campaign, answer, plan, self._current, self._runs)

    @property
    def runs(self) -> Runs:
        """Every run by its id, in the order they were made."""
        return self._runs

    def send_hours(self, name: str) -> pa.Table:
        """Table(hour, buyers): when a campaign would write to those it targets, before it is run.

        hour: of the store's clock, all 24. Before the campaign's start it is as of its start.
        """
        campaign = self._definitions.campaign(name).campaign
        with self._writer:
            return running.hours(campaign, self.audience(name), self._current)

    def page_census(
        self,
        name: str,
        context: Mapping[str, str] | None = None,
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> Census:
        """What all buyers see on a page, counted: each module's reach, and what nobody sees.

        context: one for all buyers. progress: is told how many modules of how many have been
        asked; what it raises ends the census. Until it ends, appends wait.
        """
        with self._looking() as view:
            return census(self._definitions.page(name), view, request_texts(context), progress)

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
        return self._current.fits

    def preview(self, config: Mapping[str, Any]) -> Preview:
        """What other settings would do to the buyers; they are not changed, nor is anything else.

        config: a mapping shaped like `store.toml` with what would be another, such as
        `{"lifecycle": {"active_days": 50}}`. Both sides are fitted to the same buyers, so that
        cut points of before the last appends make no difference. Raises `ConfigError` with
        every mistake.
        """
        changed = previewing.changed_config(self.config, config)
        with self._writer:
            now = self._current.built()
            then = self._current.built(replace(self._current.settings, config=changed))
            tables, rows = self._tables, self._tables.customers.count
            return Preview(
                self.as_of, self.data_version, rows,
                previewing.settings_changed(self.config, changed),
                previewing.stage_moves(tables, now, then),
                previewing.traits_affected(tables, now, then),
                now.fits.shown, then.fits.shown,
            )  # fmt: skip

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
        return reporting.report(
            name, segments, options, self._current, self._definitions, self._runs, self._looking
        )

    def memory(self) -> pa.Table:
        """Bytes held, by table and column, the largest first."""
        with self._tables.gate.reading():
            return hand_out.memory_table(
                self._tables, self._buckets.nbytes(), self._population.standing.nbytes(),
                self._product_traits.nbytes(), self._definitions.ranker.nbytes(),
            )  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)
