"""Why is a buyer in, or why not?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.options import HERE, AsJson, Id, Store, customer_id_of, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import console

if TYPE_CHECKING:
    from segengine.rules.explain import Change, Reason

MaybeRule = Annotated[
    str | None, typer.Argument(metavar="RULE", help="A rule, in quotes.", show_default=False)
]
InCampaign = Annotated[
    str | None,
    typer.Option("--campaign", metavar="NAME", help="A campaign of store.toml, not a rule."),
]
_STYLES = {"yes": "green", "no ": "red", "?  ": "yellow"}


def explain(
    customer_id: Id,
    rule: MaybeRule = None,
    campaign: InCampaign = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Say condition by condition why a rule holds for a buyer, or which step dropped them."""
    if (rule is None) == (campaign is None):
        raise InputError("give either a rule or `--campaign NAME`, one of the two")
    with opened(store) as engine:
        asked = customer_id_of(engine, customer_id)
        answer: dict[str, Any] = {"customer_id": asked}
        if campaign is not None:
            audience = engine.audience(campaign)
            dropped = audience.explain(asked)
            answer |= {
                "campaign": campaign,
                "holds": dropped.holds,
                "step": dropped.step,
                "variant": dropped.variant,
            }
            text = dropped.text
        elif rule is not None:
            why = engine.segment(rule).explain(asked)
            nearest = nearest_of(why.nearest)
            answer |= {"holds": why.holds, "reason": tree_of(why.reason), "nearest": nearest}
            text = str(why)
        if as_json:
            moment = {"as_of": engine.as_of, "data_version": engine.data_version}
            print_json({**answer, "text": text, **moment})
            return
        print_reasons(text)


def print_reasons(text: str) -> None:
    """An explanation, each condition in the colour of its truth."""
    screen = console()
    for line in text.splitlines():
        screen.print(line, style=_STYLES.get(line.lstrip()[:3], "none"), soft_wrap=True)


def nearest_of(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """The changes that would make a rule hold, each with what its conditions look at now."""
    return [{"conditions": change.conditions, "values": dict(change.values)} for change in changes]


def tree_of(reason: Reason) -> dict[str, Any]:
    """A condition, whether it holds (null: unknown), what it looked at, and all under it."""
    return {
        "text": reason.text,
        "holds": reason.holds,
        "values": dict(reason.values),
        "parts": [tree_of(part) for part in reason.parts],
    }
