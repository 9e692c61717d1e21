"""How is each thing written on the wire, and read from it?

Every pair of `to_proto_*` and `from_proto_*` is here, those of campaigns in `campaign_convert`, and
nowhere else: the server writes what the client reads. An empty text on the wire stands for None
where a thing may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from operator import index
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from google.protobuf.timestamp_pb2 import Timestamp

from segengine_server import engine_api
from segengine_server.answers import (
    CENSUS_SCHEMAS,
    LEDGER_SCHEMA,
    Census,
    Count,
    Explanation,
    Page,
    Placement,
    Product,
)
from segengine_server.engine_api import CustomerId
from segengine_server.errors import RequestError, Violation
from segengine_server.wire import segengine_pb2 as pb

_NO_AUDIENCE = Violation("audience", "set `campaign` or `rule`")
_NO_ID = Violation("customer", "set `number` or `text`")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Asked(NamedTuple):
    """Whom a request asks about: a campaign by its name, or a rule by its text."""

    kind: Literal["campaign", "rule"]
    text: str


def to_proto_moment(moment: datetime) -> Timestamp:
    """An aware moment, to the microsecond."""
    # Timestamp.FromDatetime takes 6.2 us, this 1.8 us, and every page has one.
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def from_proto_moment(moment: Timestamp) -> datetime:
    """An aware moment in UTC."""
    return moment.ToDatetime(tzinfo=UTC)


def to_proto_customer(customer_id: CustomerId | None) -> pb.CustomerId:
    """A number for an int, a text for a str; without an id for None."""
    if customer_id is None:
        return pb.CustomerId()
    if isinstance(customer_id, str):
        return pb.CustomerId(text=customer_id)
    if isinstance(customer_id, bool):
        raise TypeError("a customer_id is a whole number or a text")
    return pb.CustomerId(number=index(customer_id))


def from_proto_customer(customer: pb.CustomerId) -> CustomerId | None:
    """The id as int or str; None when there is none."""
    kind = customer.WhichOneof("id")
    if kind is None:
        return None
    return customer.number if kind == "number" else customer.text


def from_proto_asked(
    request: pb.CountAudienceRequest | pb.StreamAudienceRequest | pb.ExplainCustomerRequest,
) -> Asked:
    """Whom the request asks about; refused when it does not say."""
    # Of a oneof that a caller has written twice only the last arrives, so that "neither" is the
    # one mistake that can be seen.
    kind = request.WhichOneof("audience")
    if kind is None:
        raise RequestError(_NO_AUDIENCE)
    return Asked(kind, request.campaign if kind == "campaign" else request.rule)


def to_proto_asked(campaign: str | None, rule: str | None) -> dict[str, str]:
    """The field of a request that says whom it asks about."""
    given = {"campaign": campaign, "rule": rule}
    fields = {name: text for name, text in given.items() if text is not None}
    if len(fields) != 1:
        raise TypeError("give `campaign` or `rule`, one of the two")
    return fields


def to_proto_context(context: Mapping[str, object] | None) -> dict[str, str]:
    """What a visit brings along, as texts; what is None is not there."""
    return {str(key): str(value) for key, value in (context or {}).items() if value is not None}


def from_proto_known(customer: pb.CustomerId) -> CustomerId:
    """The id as int or str; refused when there is none."""
    customer_id = from_proto_customer(customer)
    if customer_id is None:
        raise RequestError(_NO_ID)
    return customer_id


def from_proto_explain(request: pb.ExplainCustomerRequest) -> tuple[Asked, CustomerId]:
    """Whom the request asks about, and which buyer; refused when it does not say."""
    # Each of the two would be refused below; together they are one answer.
    if request.customer.WhichOneof("id") is None and request.WhichOneof("audience") is None:
        raise RequestError(_NO_ID, _NO_AUDIENCE)
    return from_proto_asked(request), from_proto_known(request.customer)


def to_proto_ledger(ledger: pa.Table) -> list[pb.LedgerStep]:
    """One step per row."""
    return [
        pb.LedgerStep(**{name: value for name, value in row.items() if value is not None})
        for row in ledger.select(LEDGER_SCHEMA.names).to_pylist()
    ]


def from_proto_ledger(steps: Sequence[pb.LedgerStep]) -> pa.Table:
    """One row per step."""
    rows = [{name: getattr(step, name) for name in LEDGER_SCHEMA.names} for step in steps]
    return pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)


def to_proto_count(count: Count) -> pb.CountAudienceReply:
    """A count with its ledger."""
    return pb.CountAudienceReply(
        count=count.count,
        as_of=to_proto_moment(count.as_of),
        data_version=count.data_version,
        ledger=to_proto_ledger(count.ledger),
    )


def from_proto_count(reply: pb.CountAudienceReply) -> Count:
    """A count with its ledger."""
    return Count(
        count=reply.count,
        as_of=from_proto_moment(reply.as_of),
        data_version=reply.data_version,
        ledger=from_proto_ledger(reply.ledger),
    )


def to_proto_explanation(explanation: Explanation) -> pb.ExplainCustomerReply:
    """Whether, where and why."""
    return pb.ExplainCustomerReply(
        holds=explanation.holds, step=explanation.step or "", text=explanation.text
    )


def from_proto_explanation(reply: pb.ExplainCustomerReply) -> Explanation:
    """Whether, where and why."""
    return Explanation(holds=reply.holds, step=reply.step or None, text=reply.text)


def to_proto_product(product: engine_api.Product) -> pb.Product:
    """A product; its id as text."""
    return pb.Product(
        product_id=str(product.product_id), score=product.score, reason=product.reason
    )


def from_proto_product(product: pb.Product) -> Product:
    """A product; its id as text."""
    return Product(product_id=product.product_id, score=product.score, reason=product.reason)


def to_proto_payload(payload: Any) -> str:
    """A payload as JSON, its dates and times in ISO 8601; empty for none."""
    if payload is None:
        return ""
    return json.dumps(
        payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    )


def from_proto_payload(text: str) -> Any:
    """A payload from JSON; None for an empty text."""
    return json.loads(text) if text else None


def to_proto_placement(
    placement: engine_api.Placement, payload_json: Callable[[Any], str] = to_proto_payload
) -> pb.Placement:
    """What fills one slot, and why."""
    return pb.Placement(
        slot=placement.slot,
        module=placement.module,
        variant=placement.variant,
        reason=placement.reason,
        products=map(to_proto_product, placement.products),
        payload_json=payload_json(placement.payload),
    )


def to_proto_page(page: engine_api.Page) -> pb.GetPageReply:
    """A page, placement by placement; the losers stay behind."""
    reply = pb.GetPageReply(
        as_of=to_proto_moment(page.as_of), data_version=page.data_version, traits=page.traits
    )
    if page.valid_until is not None:
        reply.valid_until.CopyFrom(to_proto_moment(page.valid_until))
    reply.placements.extend(map(to_proto_placement, page.placements))
    return reply


def from_proto_page(reply: pb.GetPageReply) -> Page:
    """A page, placement by placement."""
    return Page(
        placements=[
            Placement(
                slot=p.slot,
                module=p.module or None,
                variant=p.variant or None,
                reason=p.reason,
                products=[from_proto_product(product) for product in p.products],
                payload=from_proto_payload(p.payload_json),
            )
            for p in reply.placements
        ],
        as_of=from_proto_moment(reply.as_of),
        data_version=reply.data_version,
        valid_until=from_proto_moment(reply.valid_until) if reply.HasField("valid_until") else None,
        traits=list(reply.traits),
    )


def to_proto_census(census: engine_api.Census) -> pb.PageCensusReply:
    """A census, each table as a list of messages."""
    return pb.PageCensusReply(
        as_of=to_proto_moment(census.as_of),
        data_version=census.data_version,
        not_given=census.not_given,
        buyers=census.buyers,
        never=census.never,
        different_pages=census.different_pages,
        modules=[pb.ModuleReach(**row) for row in _rows("modules", census.modules)],
        variants=[pb.VariantReach(**row) for row in _rows("variants", census.variants)],
        empty=[pb.EmptySlot(**row) for row in _rows("empty", census.empty)],
        unseen=[pb.UnseenModule(**row) for row in _rows("unseen", census.unseen)],
        frequent=[
            pb.FrequentPage(
                buyers=row["buyers"],
                share=row["share"],
                placements=[pb.Placement(**placed) for placed in row["placements"]],
            )
            for row in _rows("frequent", census.frequent)
        ],
    )


def from_proto_census(reply: pb.PageCensusReply) -> Census:
    """A census, each list of messages as a table."""
    frequent = [
        {
            "buyers": page.buyers,
            "share": page.share,
            "placements": [
                {
                    "slot": p.slot,
                    "module": p.module or None,
                    "variant": p.variant or None,
                    "reason": p.reason,
                }
                for p in page.placements
            ],
        }
        for page in reply.frequent
    ]
    return Census(
        not_given=tuple(reply.not_given),
        buyers=reply.buyers,
        modules=_table("modules", reply.modules),
        variants=_table("variants", reply.variants),
        empty=_table("empty", reply.empty),
        never=tuple(reply.never),
        unseen=_table("unseen", reply.unseen, may_lack="by"),
        different_pages=reply.different_pages,
        frequent=pa.Table.from_pylist(frequent, schema=CENSUS_SCHEMAS["frequent"]),
        as_of=from_proto_moment(reply.as_of),
        data_version=reply.data_version,
    )


def _rows(name: str, table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a census' table; what is missing is left out."""
    rows = table.select(CENSUS_SCHEMAS[name].names).to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def _table(name: str, messages: Sequence[Any], may_lack: str = "") -> pa.Table:
    """A row per message; `may_lack` is missing where its text is empty."""
    schema = CENSUS_SCHEMAS[name]
    rows = [{key: getattr(message, key) for key in schema.names} for message in messages]
    if may_lack:
        rows = [{**row, may_lack: row[may_lack] or None} for row in rows]
    return pa.Table.from_pylist(rows, schema=schema)


def _plain(value: object) -> str:
    """A date or time of `store.toml` in JSON, which has none."""
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"a payload cannot hold `{value!r}`")
