"""What has the store been told: segments, campaigns and pages, and is each sound?"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from segengine.audiences.asking import CheckedCampaign, Policy
from segengine.audiences.campaign import Campaign, campaign_of
from segengine.audiences.doubts import doubts
from segengine.audiences.goals import checked_goal
from segengine.audiences.limit import read_order
from segengine.audiences.text_check import check_text
from segengine.days import Zone
from segengine.errors import (
    ConfigError,
    RuleError,
    SegengineError,
    UnknownNameError,
    did_you_mean,
    refuse_all,
)
from segengine.pages.decide import CheckedModule, CheckedPage, ready_module, ready_page
from segengine.pages.page import Page, page_of
from segengine.pages.pool import Pool
from segengine.pages.pool_candidates import ReadyPool
from segengine.pages.pool_notes import notes
from segengine.pages.pool_ranker import ranker
from segengine.rules.builder import Rule
from segengine.rules.catalogue import Definition, Finding, SegmentCatalogue, read_rule
from segengine.rules.check import Vocabulary, check, check_value
from segengine.rules.expr import Expr
from segengine.rules.lint import Placed, segments_named
from segengine.rules.parse import parse, read
from segengine.rules.plan import Plan
from segengine.rules.segment import View
from segengine.rules.templates import Templates
from segengine.rules.term import CheckedRule, Term
from segengine.schema.cap_settings import cap_mistakes
from segengine.schema.kinds import Kind
from segengine.schema.store_config import StoreConfig
from segengine.written import CAMPAIGN, PAGE, SEGMENT, TRAIT, Defined

_KEPT_TEXTS = 1024
_READ_TEXTS = 1 << 16
_DRAFTS = itertools.count(1)
Checked = TypeVar("Checked", CheckedCampaign, CheckedPage)
Named = TypeVar("Named", Campaign, Page)
Part = TypeVar("Part")


class Definitions:
    """Everything named by the store or its users, checked when asked about.

    `words` gives the vocabulary of the moment. A definition that names an unknown trait does not
    keep a store from opening: the trait may come with a load.
    """

    def __init__(
        self,
        config: StoreConfig,
        zone: Zone,
        words: Callable[[], Vocabulary],
        words_state: Callable[[], object],
    ) -> None:
        self._config = config
        self._zone = zone
        self._words, self._words_state = words, words_state
        self.segments = SegmentCatalogue(words, words_state)
        self.ranker = ranker(config.pools)
        """What the pools of all pages share."""
        self.campaigns: dict[str, Campaign] = {}
        self.pages: dict[str, Page] = {}
        self._checked: dict[tuple[str, str], tuple[object, Any]] = {}
        self._shared: dict[str, tuple[object, CheckedRule]] = {}
        self._templates = Templates()
        self._read_texts: dict[str, Expr] = {}
        self._texts: OrderedDict[tuple[str, bool], tuple[object, CheckedRule]] = OrderedDict()
        self._lock = Lock()
        for name, expression in config.traits.items():
            self.segments.put_trait(name, expression)
        for name, spec in config.segments.items():
            self.segments.put(name, spec.rule, suppress=spec.suppress)
        for name, section in config.campaigns.items():
            self.campaigns[name] = campaign_of(name, section)
            self._check_channel(self.campaigns[name])
        for name, section in config.pages.items():
            self.pages[name] = page_of(name, section)

    def draft(self) -> Definitions:
        """The same definitions as they are now, to be changed without anybody noticing."""
        made = self.draft_of(StoreConfig())
        made.segments = self.segments.draft(-(next(_DRAFTS) << 32))
        made.campaigns, made.pages = self.campaigns, self.pages
        made.know_as(self)
        return made

    def know_as(self, other: Definitions) -> None:
        """Use what others have read: what a text says, and of a page the rules that stay."""
        self._templates, self._read_texts = other._templates, other._read_texts
        self._checked = dict(other._checked)

    def adopt(self, draft: Definitions, changed: Iterable[tuple[str, str]]) -> None:
        """Take over all of a draft, of which these, by kind and name, are new and checked."""
        self.segments.adopt(draft.segments)
        self.campaigns, self.pages = draft.campaigns, draft.pages
        of_draft, state = draft.segments.state(), self.segments.state()
        every: dict[str, Mapping[str, Campaign | Page]] = {
            CAMPAIGN: self.campaigns, PAGE: self.pages,
        }  # fmt: skip
        for key in changed:
            found = draft._checked.get(key)
            given = every[key[0]].get(key[1]) if key[0] in every else None
            if given is None:
                self._checked.pop(key, None)
            elif found is not None and found[0] == (id(given), of_draft):
                self._checked[key] = (id(given), state), found[1]

    def take(self, kind: str, name: str, given: Defined) -> None:
        """Add or replace a definition as it is; it is checked when it is asked about."""
        if isinstance(given, Campaign):
            self.campaigns = {**self.campaigns, name: given}
        elif isinstance(given, Page):
            self.pages = {**self.pages, name: given}
        else:
            self.segments.take(given, is_trait=kind == TRAIT)

    def put(self, kind: str, name: str, given: Defined) -> None:
        """As `take`, where the name can be one; `checked` says whether it can be used."""
        if isinstance(given, Definition):
            (self.segments.add_trait if kind == TRAIT else self.segments.add)(given)
        else:
            self.take(kind, name, given)

    def remove(self, kind: str, name: str) -> None:
        """Take a definition away, whoever names it."""
        if kind == CAMPAIGN:
            self.campaigns = _without(self.campaigns, name)
        elif kind == PAGE:
            self.pages = _without(self.pages, name)
        else:
            self.segments.remove(name, is_trait=kind == TRAIT)

    def checked(self, kind: str, name: str) -> object:
        """A definition with all that it names; raises every reason why it cannot be used."""
        ask: dict[str, Callable[[str], object]] = {
            SEGMENT: self.segments.rule_of, TRAIT: self.segments.trait_of,
            CAMPAIGN: self.campaign, PAGE: self.page,
        }  # fmt: skip
        return ask[kind](name)

    def draft_of(self, config: StoreConfig, *, whole: bool = True) -> Definitions:
        """Those of another `store.toml` in place of all of these, its other settings as they are.

        whole=False: these stay where it has none of the name. Mistakes in the form of one are
        refused; what its rules name is looked up when it is asked.
        """
        settings = replace(
            self._config, traits=config.traits, segments=config.segments,
            campaigns=config.campaigns, pages=config.pages,
        )  # fmt: skip
        made = Definitions(settings, self._zone, self._words, self._words_state)
        made.segments.version -= next(_DRAFTS) << 32
        made.ranker = self.ranker
        if not whole:
            kept, given = self.segments, made.segments
            given.definitions = {**kept.definitions, **given.definitions}
            given.traits = {**kept.traits, **given.traits}
            made.campaigns = {**self.campaigns, **made.campaigns}
            made.pages = {**self.pages, **made.pages}
        return made

    def rule(self, rule: str | Rule, place: str = "", *, context: bool = False) -> CheckedRule:
        """A rule checked against the words of the moment; the same text again, at once."""
        if not isinstance(rule, str):
            expr, text = read_rule(rule, place)
            return check(expr, self.segments.vocabulary(context=context), text, place)
        key, state = (rule, context), self.segments.state()
        with self._lock:
            found = self._texts.get(key)
            if found is not None and found[0] == state:
                self._texts.move_to_end(key)
                return found[1]
        checked = self._read(rule, place, context=context)
        with self._lock:
            self._texts[key] = (state, checked)
            if len(self._texts) > _KEPT_TEXTS:
                self._texts.popitem(last=False)
        return checked

    def _read(self, text: str, place: str, *, context: bool) -> CheckedRule:
        words = self.segments.vocabulary(context=context)
        known = self._templates.read(text)
        if known is not None:
            # A mistake is reported with its place, which only a new reading knows.
            with suppress(RuleError):
                return check(known, words, text, place)
        return check(read(text, place), words, text, place)

    def _page_rule(self, rule: str | Rule, place: str) -> CheckedRule:
        """A rule of a page: there may be thousands, so a text that was read is not read again."""
        if not isinstance(rule, str):
            return self.rule(rule, place, context=True)
        words = self.segments.vocabulary(context=True)
        expr = self._read_texts.get(rule)
        if expr is None:
            expr = self._templates.read(rule)
            if expr is None:
                expr = read(rule, place)
            if len(self._read_texts) >= _READ_TEXTS:
                self._read_texts.clear()
            self._read_texts[rule] = expr
        try:
            return check(expr, words, rule, place)
        except RuleError:
            # A mistake is reported with its place, which a template does not know.
            return check(read(rule, place), words, rule, place)

    def campaign(self, name: str) -> CheckedCampaign:
        """The campaign with this name, checked."""
        campaign = _named(self.campaigns, name, "campaign")
        return self._once("campaign", name, campaign, self._check_campaign)

    def page(self, name: str) -> CheckedPage:
        """The page with this name, checked."""
        return self._once("page", name, _named(self.pages, name, "page"), self._check_page)

    def _once(
        self, kind: str, name: str, definition: Any, make: Callable[[Any], Checked]
    ) -> Checked:
        """What `make` gives, made anew when the definition or the words have changed."""
        state = (id(definition), self.segments.state())
        found = self._checked.get((kind, name))
        if found is None or found[0] != state:
            found = (state, make(definition))
            self._checked[kind, name] = found
        checked: Checked = found[1]
        return checked

    def policy(self) -> Policy:
        """What the store decides for every campaign."""
        suppressions = tuple(
            (name, self.segments.rule_of(name))
            for name, definition in self.segments.definitions.items()
            if definition.suppress
        )
        config = self._config
        return Policy(
            config.consent_missing, config.holdout_share, suppressions, config.caps,
            self._catalogued, config.text.price_per_part,
        )  # fmt: skip

    def _catalogued(self, text: str) -> CheckedRule:
        """A rule that campaigns share, checked once for a state of the words."""
        state = self.segments.state()
        found = self._shared.get(text)
        if found is None or found[0] != state:
            if len(self._shared) >= _KEPT_TEXTS:
                self._shared.clear()
            found = self._shared[text] = state, replace(self.rule(text), catalogued=True)
        return found[1]

    def findings(self) -> list[Finding]:
        """Everything that keeps a definition from being used."""
        asked: list[tuple[str, Callable[[str], object], Iterable[str]]] = [
            ("trait", self.segments.trait_of, self.segments.traits),
            ("segment", self.segments.rule_of, self.segments.definitions),
            ("campaign", self.campaign, self.campaigns),
            ("page", self.page, self.pages),
        ]
        found = []
        for kind, ask, names in asked:
            for name in names:
                try:
                    ask(name)
                except SegengineError as error:
                    found.append(Finding(f'{kind} "{name}"', "error", str(error)))
        return found

    def placed(
        self, plan: Callable[[CheckedRule], Plan]
    ) -> tuple[list[Placed], frozenset[str] | None]:
        """Every rule that can be, with its plan, and the segments in use; None: not known."""
        catalogue = self.segments
        suppressed = (name for name, each in catalogue.definitions.items() if each.suppress)
        used = frozenset(suppressed)
        for definition in (*catalogue.definitions.values(), *catalogue.traits.values()):
            used |= segments_named(definition.expr)
        rules: list[tuple[str, CheckedRule, str | None]] = []
        all_known = True
        for name in catalogue.definitions:
            with suppress(SegengineError):
                rules.append((f'segment "{name}"', catalogue.rule_of(name), name))
        asked: list[tuple[Callable[[str], Iterable[tuple[str, CheckedRule]]], Iterable[str]]] = [
            (self._campaign_rules, self.campaigns), (self._page_rules, self.pages),
        ]  # fmt: skip
        for rules_of, names in asked:
            for name in names:
                try:
                    found = list(rules_of(name))
                except SegengineError:
                    all_known = False
                    continue
                rules += [(place, rule, None) for place, rule in found]
                used = used.union(*(segments_named(rule.expr) for _, rule in found))
        placed = [Placed(place, rule, plan(rule), segment) for place, rule, segment in rules]
        return placed, used if all_known else None

    def read(self, placed: Iterable[Placed]) -> list[tuple[str, Term]]:
        """Every place where traits are read, and by what: rules, declared traits, orders."""
        found = [(each.place, each.rule.term) for each in placed]
        found += [(f'trait "{n}"', term) for n, term in self.segments.declared().items()]
        for name in self.campaigns:
            with suppress(SegengineError):
                order = self.campaign(name).order_by
                if order is not None:
                    found.append((f'campaign "{name}", order_by', order))
        return found

    def _campaign_rules(self, name: str) -> Iterable[tuple[str, CheckedRule]]:
        checked = self.campaign(name)
        yield f'campaign "{name}", segment', checked.rule
        for rule in checked.exclusions:
            yield f'campaign "{name}", exclusions', rule

    def _page_rules(self, name: str) -> Iterable[tuple[str, CheckedRule]]:
        checked = self.page(name)
        if checked.rule is not None:
            yield f'page "{name}"', checked.rule
        for slot, modules in checked.slots:
            for each in modules:
                if each.rule is not None:
                    where = f'page "{name}", slot "{slot}", module "{each.module.name}"'
                    yield where, each.rule

    def campaign_notes(self, view: View) -> list[Finding]:
        """What may not be meant in campaigns that are sound."""
        sound = []
        for name in self.campaigns:
            with suppress(SegengineError):
                sound.append(self.campaign(name))
        return doubts(sound, self._config.caps, view.plan, view.population.domain)

    def pool_notes(self, view: View) -> list[Finding]:
        """What of the pools of pages may not be meant so."""
        found = []
        for name in self.pages:
            with suppress(SegengineError):
                for slot, modules in self.page(name).slots:
                    for each in modules:
                        if each.pool is not None:
                            place = f'page "{name}", slot "{slot}", module "{each.module.name}", '
                            said = notes(each.pool, view)
                            found += [Finding(f"{place}pool", "note", text) for text in said]
        return found

    def _check_channel(self, campaign: Campaign) -> None:
        channels = self._config.channels
        if campaign.channel is not None and campaign.channel not in channels:
            hint = did_you_mean(campaign.channel, channels) or "declare it under store.channels"
            raise ConfigError(
                f"campaign `{campaign.name}`: unknown channel `{campaign.channel}`; {hint}",
                field="channel",
            )
        wrong = [mistake for cap in campaign.caps for mistake in cap_mistakes(cap, channels)]
        if wrong:
            raise ConfigError(f"campaign `{campaign.name}`: " + "; ".join(wrong), field="caps")

    def _value_of(self, campaign: Campaign, place: str) -> Term | None:
        """What a buyer is worth to a campaign: a number."""
        if campaign.value is None:
            return None
        where = f"{place}, value"
        if isinstance(campaign.value, str):
            expr, text = parse(campaign.value, where), campaign.value
        else:
            expr, text = read_rule(campaign.value, where)
        value = check_value(expr, self.segments.vocabulary(), text, where)
        if value.kind not in (None, Kind.BIGINT, Kind.DOUBLE, Kind.MONEY):
            raise ConfigError(
                f"{where}: a value is a number, and `{text}` is not; such as `p_alive * 20`",
                field="value",
            )
        return value

    def _check_campaign(self, campaign: Campaign) -> CheckedCampaign:
        place = f'campaign "{campaign.name}"'
        wrong: list[tuple[str, SegengineError]] = []

        def part(name: str, check: Callable[[], Part]) -> Part | None:
            try:
                return check()
            except SegengineError as error:
                wrong.append((f"{place}, {name}", error))
                return None

        words = self.segments.vocabulary()
        part("channel", lambda: self._check_channel(campaign))
        rule = part("segment", lambda: self.rule(campaign.segment, f"{place}, segment"))
        exclusions = [
            part("exclusions", partial(self.rule, each, f"{place}, exclusions"))
            for each in campaign.exclusions
        ]
        order, descending = None, False
        if campaign.order_by is not None:
            text, descending = read_order(campaign.order_by)
            order = part("order_by", lambda: self._order_of(text, f"{place}, order_by"))
        letter = part("text", lambda: check_text(campaign, words, self._config))
        part("goal", lambda: checked_goal(campaign.goal, campaign.name, words))
        value = part("value", lambda: self._value_of(campaign, place))
        refuse_all(wrong)
        assert rule is not None
        return CheckedCampaign(
            campaign, replace(rule, catalogued=True),
            tuple(replace(each, catalogued=True) for each in exclusions if each is not None),
            order, descending, letter, value,
        )  # fmt: skip

    def _order_of(self, text: str, place: str) -> Term:
        """What decides who comes first in a limit."""
        order = check_value(parse(text, place), self.segments.vocabulary(), text, place)
        if order.kind is Kind.TAGS:
            raise ConfigError(f"{place}: lists have no order", field="order_by")
        return order

    def _check_page(self, page: Page) -> CheckedPage:
        place = f'page "{page.name}"'
        wrong: list[tuple[str, SegengineError]] = []
        rule = None
        try:
            rule = None if page.rule is None else self._page_rule(page.rule, place)
        except SegengineError as error:
            wrong.append((place, error))
        slots = []
        for slot in page.slots:
            candidates: list[CheckedModule] = []
            for module in slot.modules:
                found = None
                where = f'{place}, slot "{slot.name}", module "{module.name}"'
                try:
                    if module.rule is not None:
                        found = self._page_rule(module.rule, where)
                    pool = self._ready_pool(module.pool, f"{where}, pool")
                    candidates.append(ready_module(module, found, self._zone, pool))
                except SegengineError as error:
                    wrong.append((where, error))
            slots.append((slot.name, candidates))
        refuse_all(wrong)
        known = self._checked.get(("page", page.name))
        return ready_page(page, rule, slots, None if known is None else known[1])

    def _ready_pool(self, pool: Pool | None, place: str) -> ReadyPool | None:
        """A pool whose rule over products checks."""
        if pool is None:
            return None
        if pool.rule is None:
            return ReadyPool(pool, None, self.ranker)
        expr, text = read_rule(pool.rule, place)
        rule = check(expr, replace(self._words(), of_products=True), text, place)
        return ReadyPool(pool, rule, self.ranker)


def _without(named: dict[str, Named], name: str) -> dict[str, Named]:
    return {key: each for key, each in named.items() if key != name}


def _named(known: Mapping[str, Any], name: str, what: str) -> Any:
    found = known.get(name)
    if found is None:
        hint = did_you_mean(str(name), list(known))
        listed = hint or ("known: " + ", ".join(known) if known else "none is defined")
        raise UnknownNameError(f"unknown {what} `{name}`; {listed}", field=what)
    return found
