"""How is each thing about campaigns written on the wire, and read from it?

The pairs of `to_proto_*` and `from_proto_*` for CampaignService; all others are in `convert`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from segengine.plain import plain
from segengine_server import campaign_api
from segengine_server.answers import LEDGER_SCHEMA
from segengine_server.campaign_answers import (
    BILL_SCHEMA,
    DOWNSTREAM_SCHEMA,
    HOURS_SCHEMA,
    MODULES_SCHEMA,
    MONEY,
    VARIANTS_SCHEMA,
    BadRows,
    MemberDiff,
    Plan,
    Planned,
    Receipt,
    Run,
    Setting,
    Texts,
)
from segengine_server.convert import (
    from_proto_customer,
    from_proto_ledger,
    from_proto_moment,
    to_proto_customer,
    to_proto_ledger,
    to_proto_moment,
)
from segengine_server.errors import RequestError, Violation
from segengine_server.ipc_stream import pieces_of
from segengine_server.wire import segengine_pb2 as pb

HOURS = 24
_DEFINITION = "definition_json"
_MOST_LEVELS = 50


def to_proto_about(run: str | None, campaign: str | None) -> dict[str, str]:
    """The field of a request that says whether it is about a run or a campaign."""
    given = {"run": run, "campaign": campaign}
    fields = {name: text for name, text in given.items() if text is not None}
    if len(fields) != 1:
        raise TypeError("give `run` or `campaign`, one of the two")
    return fields


def from_proto_about(request: pb.SendHoursRequest | pb.CampaignReportRequest) -> dict[str, str]:
    """`run` or `campaign` with its name; refused when it does not say."""
    kind = request.WhichOneof("about")
    if kind is None:
        raise RequestError(Violation("about", "set `run` or `campaign`"))
    return {kind: getattr(request, kind)}


def to_proto_texts(
    texts: pa.Table, bill: pa.Table | None, asked: campaign_api.Text
) -> pb.PreviewTextsReply:
    """Texts with their parts and costs, and what all come to where it was asked for."""
    reply = pb.PreviewTextsReply(
        as_of=to_proto_moment(asked.as_of), data_version=asked.data_version
    )
    for row in texts.to_pylist():
        customer = to_proto_customer(row.pop("customer_id"))
        reply.texts.append(pb.PreviewedText(customer=customer, **_with_cost(row)))
    for row in [] if bill is None else bill.to_pylist():
        reply.bill.append(pb.BillLine(**_with_cost(row)))
    return reply


def from_proto_texts(reply: pb.PreviewTextsReply) -> Texts:
    """Texts and the bill as tables."""
    names = ("variant", "text", "characters", "parts", "cost")
    kinds = (pa.string(), pa.large_string(), pa.int64(), pa.int64(), MONEY)
    ids = [from_proto_customer(each.customer) for each in reply.texts]
    columns = [[_read(each, name) for each in reply.texts] for name in names]
    texts = pa.table(
        [_ids(ids), *(pa.array(c, kind) for c, kind in zip(columns, kinds, strict=True))],
        names=["customer_id", *names],
    )
    return Texts(
        texts, _table(reply.bill, BILL_SCHEMA), from_proto_moment(reply.as_of), reply.data_version
    )


def to_proto_hours(hours: pa.Table) -> pb.SendHoursReply:
    """How many in each hour, from 0 to 23."""
    buyers = [0] * HOURS
    for row in hours.to_pylist():
        buyers[row["hour"]] = row["buyers"]
    return pb.SendHoursReply(buyers=buyers)


def from_proto_hours(reply: pb.SendHoursReply) -> pa.Table:
    """Table(hour, buyers) of every hour."""
    return pa.table([list(range(len(reply.buyers))), list(reply.buyers)], schema=HOURS_SCHEMA)


def to_proto_plan(plan: campaign_api.Plan) -> pb.PlanCampaignsReply:
    """Every campaign with its ledger, in the plan's order."""
    return pb.PlanCampaignsReply(
        campaigns=[
            pb.PlannedCampaign(
                campaign=name,
                count=plan.audiences[name].count(),
                ledger=to_proto_ledger(plan.audiences[name].ledger),
            )
            for name in plan.order
        ],
        as_of=to_proto_moment(plan.as_of),
        data_version=plan.data_version,
    )


def from_proto_plan(reply: pb.PlanCampaignsReply) -> Plan:
    """Every campaign with its ledger, in the plan's order."""
    campaigns = tuple(
        Planned(each.campaign, each.count, from_proto_ledger(each.ledger))
        for each in reply.campaigns
    )
    return Plan(campaigns, from_proto_moment(reply.as_of), reply.data_version)


def to_proto_run(run: campaign_api.Run) -> pb.CampaignRun:
    """A run with how many it has now."""
    facts = run.facts
    left = [n - gone for n, gone in zip(facts.targeted, facts.forgotten, strict=False)]
    names = [name for name, _ in facts.variants]
    return pb.CampaignRun(
        run=run.run,
        campaign=run.campaign,
        as_of=to_proto_moment(run.as_of),
        data_version=run.data_version,
        targeted=sum(left),
        held_out=facts.held_out - facts.forgotten[-1],
        variants=[
            pb.VariantCount(variant=name, buyers=buyers)
            for name, buyers in zip(names, left, strict=False)
        ],
    )


def from_proto_run(run: pb.CampaignRun) -> Run:
    """A run with how many it has now."""
    return Run(
        run.run, run.campaign, from_proto_moment(run.as_of), run.data_version, run.targeted,
        run.held_out, {each.variant: each.buyers for each in run.variants},
    )  # fmt: skip


def to_proto_messages(table: pa.Table) -> bytes:
    """Rows as one Arrow IPC stream."""
    return b"".join(pieces_of(table))


def from_proto_messages(ipc: bytes) -> pa.Table:
    """Rows of one Arrow IPC stream; refused when the bytes are none."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(ipc)) as reader:
            table = reader.read_all()
        # Offsets that lead out of their buffers would be read as they stand.
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # Names of columns are decoded only when somebody looks at them.
        wrong = f"is no Arrow IPC stream: {error}".splitlines()[0]
        raise RequestError(Violation("ipc", wrong)) from None
    return table


def to_proto_receipt(receipt: campaign_api.Receipt) -> pb.Receipt:
    """What came of rows."""
    return pb.Receipt(
        offset=receipt.offset or 0,
        rows_read=receipt.rows_read,
        rows_loaded=receipt.rows_loaded,
        rows_skipped=receipt.rows_skipped,
        rows_repeated=receipt.rows_repeated,
        problems=[
            pb.BadRows(column=p.column, reason=p.reason, rows=p.rows, examples=p.examples)
            for p in receipt.problems
        ],
        ignored_columns=receipt.ignored_columns,
    )


def from_proto_receipt(reply: pb.Receipt) -> Receipt:
    """What came of rows."""
    problems = tuple(
        BadRows(each.column, each.reason, each.rows, tuple(each.examples))
        for each in reply.problems
    )
    return Receipt(
        reply.rows_read, reply.rows_loaded, reply.rows_skipped, reply.rows_repeated, problems,
        tuple(reply.ignored_columns), reply.offset or None,
    )  # fmt: skip


def joined_receipts(receipts: Sequence[Receipt]) -> Receipt:
    """What came of several calls together; one problem for each column and reason."""
    problems: dict[tuple[str, str], BadRows] = {}
    for found in (each for receipt in receipts for each in receipt.problems):
        key = found.column, found.reason
        before = problems.get(key, BadRows(*key, 0, ()))
        examples = (*before.examples, *found.examples)[:3]
        problems[key] = BadRows(*key, before.rows + found.rows, examples)
    ignored = dict.fromkeys(name for each in receipts for name in each.ignored_columns)
    return Receipt(
        sum(each.rows_read for each in receipts),
        sum(each.rows_loaded for each in receipts),
        sum(each.rows_skipped for each in receipts),
        sum(each.rows_repeated for each in receipts),
        tuple(problems.values()),
        tuple(ignored),
    )


def to_proto_definition(written: Mapping[str, Any]) -> str:
    """A section of `store.toml` as JSON, its moments in ISO 8601."""
    return json.dumps(plain(written), ensure_ascii=False, allow_nan=False)


def from_proto_definition(text: str) -> dict[str, Any]:
    """A section of `store.toml` from JSON; refused when the text is no object."""
    try:
        read = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
    except RecursionError:
        raise RequestError(Violation(_DEFINITION, "is nested too deeply")) from None
    except ValueError as error:
        raise RequestError(Violation(_DEFINITION, f"is not JSON: {error}")) from None
    if not isinstance(read, dict):
        raise RequestError(Violation(_DEFINITION, "is no JSON object with the settings"))
    if _is_deeper(read, _MOST_LEVELS):
        raise RequestError(Violation(_DEFINITION, f"has more than {_MOST_LEVELS} levels"))
    return read


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists lie in each other deeper than that."""
    layer = [value]
    for _ in range(levels):
        found: list[Any] = []
        for each in layer:
            if isinstance(each, dict):
                found += each.values()
            elif isinstance(each, list):
                found += each
        layer = found
    return any(isinstance(each, dict | list) for each in layer)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"`{twice}` is given twice in one object")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"`{word}` is no number of JSON")


def to_proto_diff(diff: campaign_api.MemberDiff) -> pb.DryRunReply:
    """What a definition would change."""
    ledgers = diff.ledgers
    return pb.DryRunReply(
        kind=diff.kind,
        name=diff.name,
        change=diff.change,
        version=diff.before or 0,
        entered=diff.entered,
        left=diff.left,
        stayed=diff.stayed,
        affected=diff.affected,
        sample_entered=map(to_proto_customer, diff.sample_entered),
        sample_left=map(to_proto_customer, diff.sample_left),
        settings=[
            pb.SettingChange(
                setting=each.setting, before_json=_json(each.before), after_json=_json(each.after)
            )
            for each in diff.settings
        ],
        ledger_before=[] if ledgers is None else to_proto_ledger(_side(ledgers, "before")),
        ledger_after=[] if ledgers is None else to_proto_ledger(_side(ledgers, "after")),
        variants=[pb.VariantMove(**_known(row)) for row in _rows(diff.variants)],
        downstream=[pb.Downstream(**_known(row)) for row in _rows(diff.downstream)],
        notes=diff.notes,
        as_of=to_proto_moment(diff.as_of),
        data_version=diff.data_version,
        modules=[pb.ModuleChange(**_known(row)) for row in _rows(diff.modules)],
    )


def from_proto_diff(reply: pb.DryRunReply) -> MemberDiff:
    """What a definition would change."""
    downstream = []
    for each in reply.downstream:
        row = {name: getattr(each, name) for name in DOWNSTREAM_SCHEMA.names}
        if each.error:
            row |= dict.fromkeys(("before", "after", "entered", "left", "affected"))
        downstream.append({**row, "error": each.error or None})
    return MemberDiff(
        reply.kind,
        reply.name,
        reply.change,
        reply.version or None,
        reply.entered,
        reply.left,
        reply.stayed,
        reply.affected,
        _sample(reply.sample_entered),
        _sample(reply.sample_left),
        tuple(
            Setting(s.setting, _of_json(s.before_json), _of_json(s.after_json))
            for s in reply.settings
        ),
        from_proto_ledger(reply.ledger_before),
        from_proto_ledger(reply.ledger_after),
        _table(reply.variants, VARIANTS_SCHEMA),
        pa.Table.from_pylist(downstream, schema=DOWNSTREAM_SCHEMA),
        tuple(reply.notes),
        from_proto_moment(reply.as_of),
        reply.data_version,
        pa.Table.from_pylist([_module(each) for each in reply.modules], schema=MODULES_SCHEMA),
    )


def _module(change: pb.ModuleChange) -> dict[str, Any]:
    counts = ("before", "after", "entered", "left")
    row: dict[str, Any] = {n: getattr(change, n) if change.HasField(n) else None for n in counts}
    return {"slot": change.slot, "module": change.module or None, "change": change.change,
            "settings": change.settings, **row}  # fmt: skip


def _with_cost(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a row, its cost as text."""
    return {name: f"{value:f}" if name == "cost" else value for name, value in _known(row).items()}


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _rows(table: pa.Table | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_pylist()


def _side(ledgers: pa.Table, side: str) -> pa.Table:
    """One of two ledgers that stand side by side; without a row where there is none."""
    names = LEDGER_SCHEMA.names
    columns = ["step", *(f"{side}_{name}" for name in names[1:])]
    if ledgers[columns[1]].null_count:
        return LEDGER_SCHEMA.empty_table()
    return ledgers.select(columns).rename_columns(names)


def _table(messages: Iterable[Any], schema: pa.Schema) -> pa.Table:
    """Messages as rows; an empty text is null."""
    rows = [{name: _read(each, name) for name in schema.names} for each in messages]
    return pa.Table.from_pylist(rows, schema=schema)


def _read(message: Any, name: str) -> Any:
    value = getattr(message, name)
    if name == "cost":
        return Decimal(value) if value else None
    # A text may be empty for a buyer; a variant that is empty is none.
    return None if value == "" and name != "text" else value


def _ids(ids: Sequence[int | str | None]) -> pa.Array:
    return pa.array(ids, pa.int64() if not ids or isinstance(ids[0], int) else pa.string())


def _sample(customers: Iterable[pb.CustomerId]) -> tuple[int | str, ...]:
    found = (from_proto_customer(each) for each in customers)
    return tuple(each for each in found if each is not None)


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(plain(value), ensure_ascii=False)


def _of_json(text: str) -> Any:
    return json.loads(text) if text else None
