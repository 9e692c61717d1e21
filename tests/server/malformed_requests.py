"""Requests that no client of ours sends: random bytes, torn messages, absurd values.

Every method of every service of the descriptor is asked, so that a new one is among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from segengine_server.wire import segengine_pb2 as pb

KEPT = ("home", "spring", "vip")
"""Names that there are, so that a request comes past the first look; nobody may take them away."""
FIRST_ID = 10**9
"""Ids of nobody whom the test asks about: it asks about 1 to 999."""
_SEVEN = 7.0
_MEGABYTE = 1 << 20
_NUMBERS = (0, 1, -1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), FIRST_ID)
_FLOATS = (float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 5e-324)
_RULES = (
    "true", "recency_days < 3", "order_count >= 99999999999999999999999999", "1e999 > order_count",
    "(" * 5_000 + "true" + ")" * 5_000, "NOT " * 20_000 + "true", "-" * 30_000 + "1 > 0",
    " OR ".join(["order_count = 1"] * 3_000), "region IN ('" + "', '".join(["x"] * 9_000) + "')",
    "amount_total > 0 AND " * 2_000 + "true", "count(order_lines) > 10000000000000000000",
    "in_last_days(last_order_at, 99999999999)", "city LIKE '%" + "%_" * 500 + "'",
    "SELECT * FROM customers", "city = '" + "a" * 60_000 + "'", "city = 'x\x00y'", "'", '"', "/*",
    "date_diff('day', DATE '0001-01-01', DATE '9999-12-31') > 5", "segment('vip')", "segment('no')",
    "CASE " + "WHEN true THEN 1 " * 2_000 + "END = 1", "last_order_at > TIMESTAMP '99999-01-01'",
    "1 / 0 > 1", "context.device = 'mobile'", "list_contains(tags, NULL)", "\ufeff",
    "x" * _MEGABYTE,
)  # fmt: skip
_TEXTS = ("", "a", "\x00", "../../etc/passwd", "'; DROP TABLE customers", "ü" * 300, "\u202e", "\n",
          "%s%n{}{0}", "9" * 5_000, "customers", "behaviors", "order_lines", "priority", "value",
          "{}", "[]", '{"segment": "true"}', "[" * 50_000, '{"a":' * 900, "NaN", "1e999",
          '{"segment": 5}', '{"rule": "true"}', "n" * _MEGABYTE)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """The bytes of one call: one request, or those of a stream; `what` says how they were made."""

    method: MethodDescriptor
    requests: tuple[bytes, ...]
    what: str


def methods() -> list[MethodDescriptor]:
    """All methods of all services."""
    services: Any = pb.DESCRIPTOR.services_by_name.values()
    return [method for service in services for method in service.methods]


def malformed(rng: Random, count: int) -> Iterator[Sent]:
    """So many calls, the methods in turn."""
    there = methods()
    for number in range(count):
        method = there[number % len(there)]
        many = 1 if not method.client_streaming else rng.choice((0, 1, 1, 1, 5))
        what = rng.choice(("random", "torn", "flipped", "absurd", "absurd", "absurd", "repeated"))
        requests = tuple(_request(method, what, rng) for _ in range(many))
        if not any(_is_deletion(method, each) for each in requests):
            yield Sent(method, requests, what)


def _is_deletion(method: MethodDescriptor, request: bytes) -> bool:
    """Whether seven random bytes have come to mean the deletion of somebody who is asked about."""
    if method.name != "DeleteCustomer":
        return False
    read = pb.DeleteCustomerRequest()
    try:
        read.ParseFromString(request)
    except DecodeError:
        return False
    return 0 < read.customer.number < FIRST_ID


def _request(method: MethodDescriptor, what: str, rng: Random) -> bytes:
    if what == "random":
        return rng.randbytes(rng.choice((0, 1, 7, 100, 4_000)))
    filled = _message(method.input_type, method, rng, many=what == "repeated")
    data = filled.SerializeToString()
    if len(data) > 3_900_000:
        data = data[:3_900_000]
    if what == "torn":
        return data[: rng.randrange(len(data) + 1)]
    if what == "flipped" and data:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 30))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    return data


def _message(kind: Any, method: MethodDescriptor, rng: Random, *, many: bool) -> Message:
    """A message with a value in most of its fields."""
    made: Message = GetMessageClass(kind)()
    for field in kind.fields:
        if rng.random() < 0.2:
            continue
        if field.is_repeated:
            _repeat(made, field, method, rng, many=many)
        elif field.message_type is not None:
            part = _message(field.message_type, method, rng, many=False)
            getattr(made, field.name).MergeFrom(part)
        else:
            setattr(made, field.name, _value(field, method, rng))
    return made


def _repeat(
    made: Message, field: Any, method: MethodDescriptor, rng: Random, *, many: bool
) -> None:
    held = getattr(made, field.name)
    kind = field.message_type
    count = rng.choice((0, 1, 2, 40)) if not many else rng.choice((1_001, 100_000, 1_000_000))
    if kind is not None and kind.GetOptions().map_entry:
        for place in range(min(count, 100_000)):
            held[f"{_text(field, method, rng, short=True)}{place}"] = "v" * rng.choice((0, 1, 9))
    elif kind is not None:
        part = _message(kind, method, rng, many=False)
        held.extend([part] * (count if part.ByteSize() < 3 else min(count, 40)))
    elif field.cpp_type == Field.CPPTYPE_STRING:
        held.extend([_text(field, method, rng, short=count > 40)] * count)
    else:
        held.extend([_value(field, method, rng)] * count)


def _value(field: Any, method: MethodDescriptor, rng: Random) -> Any:
    if field.cpp_type == Field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type in (Field.CPPTYPE_DOUBLE, Field.CPPTYPE_FLOAT):
        return rng.choice(_FLOATS)
    if field.type == Field.TYPE_BYTES:
        return _arrow(rng)
    if field.cpp_type == Field.CPPTYPE_STRING:
        return _text(field, method, rng)
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return rng.choice((0, 1, 99, -1))
    bits = 64 if field.cpp_type in (Field.CPPTYPE_INT64, Field.CPPTYPE_UINT64) else 32
    unsigned = field.cpp_type in (Field.CPPTYPE_UINT64, Field.CPPTYPE_UINT32)
    least, most = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return min(max(rng.choice(_NUMBERS), least), most)


def _text(field: Any, method: MethodDescriptor, rng: Random, *, short: bool = False) -> str:
    names = KEPT if method.containing_service.name != "CatalogService" else ("fuzzed",)
    if short:
        return rng.choice(("", "a", *names))
    if "rule" in field.name and rng.random() < 0.8:
        return rng.choice(_RULES)
    return rng.choice((*_TEXTS, *_RULES, *names * 8))


def _arrow(rng: Random) -> bytes:
    """An Arrow stream with what nobody means, whole or not."""
    far = [2**62, -(2**62), 0]
    ids = pa.array([FIRST_ID, FIRST_ID + 1, FIRST_ID])
    columns: list[dict[str, Any]] = [
        {"customer_id": ids, "time": pa.array(far, pa.timestamp("us")), "kind": ["view"] * 3},
        {"customer_id": ids, "time": pa.array(far, pa.timestamp("s")), "kind": ["view", None, ""]},
        {"customer_id": ids, "amount": [float("nan"), 1e308, -1.0], "order_id": ["o"] * 3},
        {"customer_id": pa.array([_SEVEN, float("nan"), None])},
        {"customer_id": ids, "birthday": pa.array([2**31 - 1, -(2**31), 0], pa.date32())},
        {"customer_id": ids, "city": ["x" * _MEGABYTE, "", None]},
        {"customer_id": ids, "run": ["no-run", "", None], "kind": ["sent", "x", None]},
        {"customer_id": pa.array([[1], None, []])}, {"x" * 10_000: ids}, {"": ids},
        {"customer_id": pa.array(["a", "b", None])}, {"customer_id": pa.nulls(3)},
        {f"c{place}": ids for place in range(2_000)},
        {"customer_id": pa.array([], pa.int64())}, {"product_id": ["p"] * 3, "price": [1, -1, 0]},
        {"customer_id": pa.array(range(FIRST_ID, FIRST_ID + 20_000))},
        {"customer_id": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array([5, 6]))},
        {"customer_id": pa.array([{"a": 1}, None, {"a": 2}])},
    ]  # fmt: skip
    table = pa.table(rng.choice(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    made = rng.random()
    if made < 0.6:
        return data
    if made < 0.75:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(rng.choice((1, 4, 60))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)
