"""segengine: who gets this campaign, and what does this buyer see, exactly, from one rule."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segengine.appending import Append
    from segengine.audiences.audience import Audience, AudienceExplanation
    from segengine.audiences.campaign import Campaign
    from segengine.audiences.member_diff import MemberDiff
    from segengine.audiences.plan import CampaignPlan, PlanExplanation
    from segengine.audiences.runs import Run
    from segengine.engine import Engine
    from segengine.errors import (
        ConfigError,
        DefinitionError,
        LoadError,
        NotBuiltYetError,
        Problem,
        RuleError,
        RunError,
        SegengineError,
        StoreError,
        UnknownCustomer,
        UnknownNameError,
    )
    from segengine.ingest.report import LoadProblem, LoadReport, RefusedError
    from segengine.pages.answer import PageAnswer, Placement, Reason
    from segengine.pages.census import Census
    from segengine.pages.limits import Decay
    from segengine.pages.page import Module, Page, Slot
    from segengine.pages.pool import Pool
    from segengine.pages.pool_rank import PoolReason, Product
    from segengine.rules.builder import (
        Rule,
        aggregate,
        call,
        case,
        col,
        count,
        interval,
        lit,
        over,
        segment,
    )
    from segengine.rules.catalogue import Finding
    from segengine.rules.explain import Explanation, ProductExplanation
    from segengine.rules.segment import Count, Segment
    from segengine.rules.selection import Selection
    from segengine.schema.cap_settings import Cap
    from segengine.traits.preview import Preview
    from segengine.versions import Version

# Imported at the first use of a name: `segengine --help` and `import segengine` wait for nothing.
_HOME = {
    "Append": "segengine.appending",
    "Audience": "segengine.audiences.audience",
    "AudienceExplanation": "segengine.audiences.audience",
    "Campaign": "segengine.audiences.campaign",
    "CampaignPlan": "segengine.audiences.plan",
    "PlanExplanation": "segengine.audiences.plan",
    "Run": "segengine.audiences.runs",
    "RunError": "segengine.errors",
    "Cap": "segengine.schema.cap_settings",
    "MemberDiff": "segengine.audiences.member_diff",
    "Engine": "segengine.engine",
    "ConfigError": "segengine.errors",
    "DefinitionError": "segengine.errors",
    "LoadError": "segengine.errors",
    "NotBuiltYetError": "segengine.errors",
    "Problem": "segengine.errors",
    "RuleError": "segengine.errors",
    "SegengineError": "segengine.errors",
    "StoreError": "segengine.errors",
    "UnknownCustomer": "segengine.errors",
    "UnknownNameError": "segengine.errors",
    "LoadProblem": "segengine.ingest.report",
    "LoadReport": "segengine.ingest.report",
    "RefusedError": "segengine.ingest.report",
    "PageAnswer": "segengine.pages.answer",
    "Census": "segengine.pages.census",
    "Decay": "segengine.pages.limits",
    "Placement": "segengine.pages.answer",
    "Reason": "segengine.pages.answer",
    "Module": "segengine.pages.page",
    "Page": "segengine.pages.page",
    "Pool": "segengine.pages.pool",
    "PoolReason": "segengine.pages.pool_rank",
    "Product": "segengine.pages.pool_rank",
    "Slot": "segengine.pages.page",
    "Rule": "segengine.rules.builder",
    "aggregate": "segengine.rules.builder",
    "call": "segengine.rules.builder",
    "case": "segengine.rules.builder",
    "col": "segengine.rules.builder",
    "count": "segengine.rules.builder",
    "interval": "segengine.rules.builder",
    "lit": "segengine.rules.builder",
    "over": "segengine.rules.builder",
    "segment": "segengine.rules.builder",
    "Finding": "segengine.rules.catalogue",
    "Preview": "segengine.traits.preview",
    "Explanation": "segengine.rules.explain",
    "ProductExplanation": "segengine.rules.explain",
    "Count": "segengine.rules.segment",
    "Segment": "segengine.rules.segment",
    "Selection": "segengine.rules.selection",
    "Version": "segengine.versions",
}

__version__ = "0.1.0"

__all__ = [
    "Append",
    "Audience",
    "AudienceExplanation",
    "Campaign",
    "CampaignPlan",
    "Cap",
    "Census",
    "ConfigError",
    "Count",
    "Decay",
    "DefinitionError",
    "Engine",
    "Explanation",
    "Finding",
    "LoadError",
    "LoadProblem",
    "LoadReport",
    "MemberDiff",
    "Module",
    "NotBuiltYetError",
    "Page",
    "PageAnswer",
    "Placement",
    "PlanExplanation",
    "Pool",
    "PoolReason",
    "Preview",
    "Problem",
    "Product",
    "ProductExplanation",
    "Reason",
    "RefusedError",
    "Rule",
    "RuleError",
    "Run",
    "RunError",
    "SegengineError",
    "Segment",
    "Selection",
    "Slot",
    "StoreError",
    "UnknownCustomer",
    "UnknownNameError",
    "Version",
    "aggregate",
    "call",
    "case",
    "col",
    "count",
    "interval",
    "lit",
    "over",
    "segment",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module `segengine` has no attribute `{name}`")
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
