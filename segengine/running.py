"""What is decided when a campaign is run, and when would it write to whom?

A run freezes its campaign's audience: who, in which arm, and the hour of each. Whether messages of
a run were recorded is seen in the messages, so that no run takes the name of one that was.
"""

from __future__ import annotations

import pyarrow as pa

from segengine.audiences.audience import Audience
from segengine.audiences.campaign import Campaign
from segengine.audiences.runs import Run, Runs, frozen, refuse_to_run
from segengine.audiences.send_hours import SendTimes, histogram, send_times
from segengine.current import Current
from segengine.tables.tables import Tables


def run(campaign: Campaign, answer: Audience, plan: object, current: Current, runs: Runs) -> Run:
    """Freeze an audience as a run, lasting before it is returned; whoever calls holds the writer.

    plan: what the audience was taken of; None for the campaign's own. Raises `RunError` outside the
    campaign's window and day-parts, and where the plan is of other data.
    """
    refuse_to_run(campaign, answer, current.version, plan)
    config, zone = current.settings.config, current.settings.zone
    facts, members = frozen(
        campaign, str(campaign.segment), answer, _times(campaign, current), zone.name,
        config.text.price_per_part,
    )  # fmt: skip
    return runs.keep(facts, members, lambda name: _is_recorded(current.tables, name))


def hours(campaign: Campaign, answer: Audience, current: Current) -> pa.Table:
    """Table(hour, buyers): when a campaign would write to those it targets."""
    preferred = answer.table(["preferred_hour"])["preferred_hour"]
    return histogram(_times(campaign, current).of(preferred), current.settings.zone)


def _times(campaign: Campaign, current: Current) -> SendTimes:
    return send_times(campaign, current.tables, current.as_of, current.settings.zone)


def _is_recorded(tables: Tables, run: str) -> bool:
    """Whether messages name a run of this id."""
    dictionary = tables.events["messages"].columns["run"].dictionary
    assert dictionary is not None
    return int(dictionary.find(pa.array([run]))[0]) >= 0
