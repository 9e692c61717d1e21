"""Who gets which of several campaigns, and why not the others: the frozen answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import pyarrow as pa

from segengine import days
from segengine.audiences.arbitration import WAYS, Contender, arbitrate, order_of
from segengine.audiences.asking import Asking, CheckedCampaign
from segengine.audiences.audience import Audience, AudienceExplanation, finished
from segengine.audiences.ledger import LEDGER
from segengine.audiences.steps import before_others
from segengine.errors import DefinitionError, UnknownNameError, did_you_mean
from segengine.rules.segment import Looking

_MOST_MISTAKES = 20

PLAN = pa.schema([pa.field("campaign", pa.string()), *LEDGER])


@dataclass(frozen=True, slots=True)
class PlanExplanation:
    """What each campaign of a plan decided for a buyer, in the plan's order."""

    customer_id: int | str
    campaigns: Mapping[str, AudienceExplanation]

    @property
    def targeted(self) -> tuple[str, ...]:
        """The campaigns that address the buyer."""
        return tuple(name for name, each in self.campaigns.items() if each.holds)

    def __str__(self) -> str:
        return "\n".join(str(each) for each in self.campaigns.values())


@dataclass(frozen=True, slots=True, eq=False)
class CampaignPlan:
    """A frozen answer: the audiences of campaigns that compete, at one moment.

    order: names by priority, then by name. audiences: each with arbitration in its ledger. ledger:
    Table(campaign, step, entered, dropped, remaining, reasons) of all, in that order.
    """

    by: str
    order: tuple[str, ...]
    audiences: Mapping[str, Audience]
    as_of: datetime
    data_version: int

    @property
    def ledger(self) -> pa.Table:
        """campaign, then the columns of an audience's ledger."""
        found = []
        for name, audience in self.audiences.items():
            steps = audience.ledger
            names = pa.repeat(pa.scalar(name, pa.string()), len(steps))
            found.append(steps.add_column(0, "campaign", names))
        return pa.concat_tables(found).combine_chunks()

    def explain(self, customer_id: int | str) -> PlanExplanation:
        """The step of each campaign that dropped a buyer, or their variant; `UnknownCustomer`."""
        told = {name: each.explain(customer_id) for name, each in self.audiences.items()}
        return PlanExplanation(customer_id, MappingProxyType(told))


def plan_names(names: Sequence[str], known: Mapping[str, object], by: str) -> list[str]:
    """The names of a plan, sorted; an error says everything that is wrong with them."""
    if by not in WAYS:
        raise DefinitionError(f"`by` is one of {', '.join(WAYS)}, not `{by}`", field="by")
    if isinstance(names, str):
        raise DefinitionError(f"`names` is a list of campaigns; write [{names!r}]", field="names")
    given = list(names)
    if not given:
        raise DefinitionError("a plan is of campaigns; name one at least", field="names")
    twice = sorted(str(name) for name, times in Counter(given).items() if times > 1)
    wrong = [f"campaign `{name}` is named twice" for name in twice[:_MOST_MISTAKES]]
    unknown = [name for name in dict.fromkeys(given) if name not in known]
    for name in unknown[:_MOST_MISTAKES]:
        hint = did_you_mean(str(name), list(known))
        listed = hint or ("known: " + ", ".join(known) if known else "none is defined")
        wrong.append(f"unknown campaign `{name}`; {listed}")
    if left := len(twice) + len(unknown) - len(wrong):
        wrong.append(f"and {left:,} more that cannot be")
    if wrong:
        error = UnknownNameError if unknown else DefinitionError
        raise error("\n".join(wrong), field="names")
    return sorted(given)


def plan_of(
    campaigns: Sequence[CheckedCampaign], by: str, asking: Asking, looking: Looking
) -> CampaignPlan:
    """The plan of some campaigns, in whatever order they are given."""
    steps = {each.campaign.name: before_others(each, asking) for each in campaigns}
    contenders = [Contender(each, steps[each.campaign.name][-1].words) for each in campaigns]
    won = arbitrate(contenders, by, asking)
    checked = {each.campaign.name: each for each in campaigns}
    order = order_of(campaigns)
    audiences = {
        name: finished(
            checked[name], (*steps[name], won[name].arbitration), won[name].limit, asking, looking
        )
        for name in order
    }
    moment = days.moment(asking.view.clock.as_of)
    return CampaignPlan(by, order, MappingProxyType(audiences), moment, asking.view.data_version)
