"""Run a campaign: who is written to, in which arm and when, from now on fixed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.audience import show_hours
from segengine.cli.files import check_out, write_table
from segengine.cli.options import HERE, AsJson, Out, Store, opened
from segengine.cli.outcome import InputError
from segengine.cli.plain import print_json
from segengine.cli.show import buyers, console, counted, moment, note

if TYPE_CHECKING:
    import pyarrow as pa

    from segengine.audiences.runs import Run

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="A campaign; several are planned together, then run."),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="priority|value", help="Who comes first among several."),
]


def run(
    names: Names,
    by: By = None,
    out: Out = None,
    store: Store = HERE,
    as_json: AsJson = False,
) -> None:
    """Run a campaign: freeze who gets it, keep that as a run, and list whom to write to."""
    check_out(out)
    if out is not None and len(names) > 1:
        raise InputError("`--out` takes the buyers of one campaign; run several one by one for it")
    if by is not None and len(names) == 1:
        raise InputError("`--by` is for several campaigns, which compete for buyers")
    with opened(store) as engine:
        plan = None
        if len(names) > 1:
            plan = engine.plan_campaigns(names, by=by or "priority")
        chosen = list(names)
        if plan is not None:
            # Who is outside its window comes first and is refused, so that all are run or none.
            chosen = sorted(plan.order, key=lambda name: plan.audiences[name].active)
        made = [engine.run_campaign(name, plan=plan) for name in chosen]
        if out is not None:
            write_table(_to_send(made[0]), out)
        if as_json:
            print_json(run_json(made[0]) if len(made) == 1 else {"runs": [*map(run_json, made)]})
            return
        screen = console()
        for each in made:
            held = len(each.held_out())
            screen.print(
                f"run `{each.run}`: {buyers(each.count())} to write to, {held:,} held out, as of "
                f"{moment(each.as_of, engine.timezone)}"
            )
            show_hours(each.hours().to_pylist(), screen)
        if out is None:
            note("`--out FILE` lists whom to write to, with variant and moment")


def _to_send(run: Run) -> pa.Table:
    """Whom to write to, each with the run: what comes back of it can be recorded as it is."""
    import pyarrow as pa

    found = run.table(held_out=False)
    return found.add_column(1, "run", pa.repeat(pa.scalar(run.run), found.num_rows))


def run_json(run: Run) -> dict[str, Any]:
    """A run with the names that programs know."""
    facts = run.facts
    return {
        "run": run.run,
        "campaign": run.campaign,
        "count": run.count(),
        "held_out": len(run.held_out()),
        "variants": {name: n for (name, _), n in zip(facts.variants, facts.targeted, strict=False)},
        "hours": run.hours().to_pylist(),
        "as_of": run.as_of,
        "data_version": run.data_version,
    }


def runs(store: Store = HERE, as_json: AsJson = False) -> None:
    """List the runs of a store: which campaign, when, to how many."""
    from segengine.cli.show import table

    with opened(store) as engine:
        found = list(engine.runs.values())
        if as_json:
            print_json({"runs": [_brief(each) for each in found]})
            return
        if not found:
            note("nothing has been run; `segengine run NAME` does")
            return
        rows = [
            [each.run, each.campaign, moment(each.as_of, engine.timezone),
             f"{sum(each.facts.targeted):,}", f"{each.facts.held_out:,}",
             f"{sum(each.facts.forgotten):,}"]
            for each in found
        ]  # fmt: skip
        numbers = ["targeted", "held_out", "deleted"]
        console().print(table(["run", "campaign", "as_of", *numbers], rows, numbers=numbers))
        console().print(counted(len(found), "run"))


def _brief(run: Run) -> dict[str, Any]:
    """A run without its members, which may be millions in a file."""
    return {
        "run": run.run,
        "campaign": run.campaign,
        "targeted": sum(run.facts.targeted),
        "held_out": run.facts.held_out,
        "deleted": sum(run.facts.forgotten),
        "as_of": run.as_of,
        "data_version": run.data_version,
    }
