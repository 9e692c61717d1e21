"""segengine: who gets this campaign, and what does this buyer see, exactly, from one rule."""

from segengine.audiences.audience import Audience, AudienceExplanation
from segengine.audiences.campaign import Campaign, Cap
from segengine.engine import Engine
from segengine.errors import (
    ConfigError,
    DefinitionError,
    LoadError,
    NotBuiltYetError,
    Problem,
    RuleError,
    SegengineError,
    StoreError,
    UnknownCustomer,
    UnknownNameError,
)
from segengine.ingest.report import LoadProblem, LoadReport, RefusedError
from segengine.pages.decide import PageAnswer, Placement, Reason
from segengine.pages.page import Module, Page, Pool, Slot
from segengine.rules.builder import Rule, call, case, col, interval, lit, segment
from segengine.rules.catalogue import Finding
from segengine.rules.explain import Explanation
from segengine.rules.segment import Count, Segment

__version__ = "0.1.0"

__all__ = [
    "Audience",
    "AudienceExplanation",
    "Campaign",
    "Cap",
    "ConfigError",
    "Count",
    "DefinitionError",
    "Engine",
    "Explanation",
    "Finding",
    "LoadError",
    "LoadProblem",
    "LoadReport",
    "Module",
    "NotBuiltYetError",
    "Page",
    "PageAnswer",
    "Placement",
    "Pool",
    "Problem",
    "Reason",
    "RefusedError",
    "Rule",
    "RuleError",
    "SegengineError",
    "Segment",
    "Slot",
    "StoreError",
    "UnknownCustomer",
    "UnknownNameError",
    "call",
    "case",
    "col",
    "interval",
    "lit",
    "segment",
]
