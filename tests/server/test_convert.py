"""Claims about conversions: what is read is what was written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segengine_server import convert
from segengine_server.answers import LEDGER_SCHEMA, Count, Explanation, Page, Placement, Product
from segengine_server.errors import RequestError
from segengine_server.wire import segengine_pb2 as pb

from tests.server.fake_engine import AS_OF, LEDGER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = texts.filter(bool)
moments = st.datetimes(timezones=st.just(UTC)) | st.builds(
    lambda since, hours: (EPOCH + since).astimezone(timezone(timedelta(hours=hours))),
    st.timedeltas(timedelta(-20_000), timedelta(40_000)),
    st.integers(-23, 23),
)
numbers = st.integers(0, 2**63 - 1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
placements = st.builds(
    Placement,
    slot=texts,
    module=st.none() | names,
    variant=st.none() | names,
    reason=st.sampled_from(["MATCHED", "FALLBACK", "EMPTY"]),
    products=st.lists(
        st.builds(Product, product_id=texts, score=st.floats(allow_nan=False), reason=texts),
        max_size=2,
    ),
    payload=st.none() | st.dictionaries(texts, json_values, max_size=3),
)
pages = st.builds(
    Page,
    placements=st.lists(placements, max_size=4),
    as_of=moments,
    data_version=st.integers(0, 2**64 - 1),
    valid_until=st.none() | moments,
    traits=st.lists(texts, max_size=3),
)


@settings(deadline=None, max_examples=50)
@given(moments)
def test_a_moment_comes_back_to_the_microsecond(moment: datetime) -> None:
    back = convert.from_proto_moment(convert.to_proto_moment(moment))
    assert back == moment
    assert back.tzinfo is UTC


@settings(deadline=None, max_examples=50)
@given(st.none() | st.integers(-(2**63), 2**63 - 1) | texts)
def test_a_customer_comes_back_with_its_kind(customer_id: int | str | None) -> None:
    back = convert.from_proto_customer(convert.to_proto_customer(customer_id))
    assert back == customer_id
    assert type(back) is type(customer_id)


def test_a_number_and_its_text_are_two_customers() -> None:
    assert convert.to_proto_customer(17) != convert.to_proto_customer("17")
    assert convert.from_proto_customer(pb.CustomerId(text="")) == ""
    assert convert.from_proto_customer(pb.CustomerId(number=0)) == 0


@pytest.mark.parametrize("wrong", [True, 1.5, b"x"])
def test_what_is_no_customer_id_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        convert.to_proto_customer(wrong)  # type: ignore[arg-type]


def test_a_customer_id_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="9223372036854775808"):
        convert.to_proto_customer(2**63)


@settings(deadline=None, max_examples=50)
@given(st.builds(Count, count=numbers, as_of=moments, data_version=numbers))
def test_a_count_comes_back(count: Count) -> None:
    assert convert.from_proto_count(convert.to_proto_count(count)) == count


def test_a_ledger_comes_back_as_a_table() -> None:
    back = convert.from_proto_count(convert.to_proto_count(Count(3, AS_OF, 7, LEDGER)))
    assert back.ledger.equals(LEDGER)


def test_a_ledger_without_reasons_has_empty_ones() -> None:
    bare = LEDGER.slice(0, 1).set_column(
        4, LEDGER_SCHEMA.field("reasons"), pa.array([None], pa.string())
    )
    back = convert.from_proto_ledger(convert.to_proto_ledger(bare))
    assert back.to_pylist()[0]["reasons"] == ""


@settings(deadline=None, max_examples=50)
@given(st.builds(Explanation, holds=st.booleans(), step=st.none() | names, text=texts))
def test_an_explanation_comes_back(explanation: Explanation) -> None:
    back = convert.from_proto_explanation(convert.to_proto_explanation(explanation))
    assert back == explanation


@settings(deadline=None, max_examples=50)
@given(pages)
def test_a_page_comes_back(page: Page) -> None:
    wire = pb.GetPageReply.FromString(convert.to_proto_page(page).SerializeToString())
    assert convert.from_proto_page(wire) == page


def test_an_empty_slot_has_empty_texts_on_the_wire() -> None:
    placement = Placement("banner", None, None, "EMPTY", [], None)
    wire = convert.to_proto_page(Page([placement], AS_OF, 1, None, [])).placements[0]
    assert wire == pb.Placement(slot="banner", reason="EMPTY")


def test_dates_of_a_payload_become_text() -> None:
    payload = {"day": date(2026, 1, 2), "at": datetime(2026, 1, 2, 3, tzinfo=UTC)}
    back = convert.from_proto_payload(convert.to_proto_payload(payload))
    assert back == {"day": "2026-01-02", "at": "2026-01-02T03:00:00+00:00"}


def test_a_payload_that_json_cannot_say_is_a_mistake() -> None:
    for payload in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises((TypeError, ValueError)):
            convert.to_proto_payload(payload)


def test_an_empty_payload_is_not_a_missing_one() -> None:
    assert convert.from_proto_payload(convert.to_proto_payload({})) == {}
    assert convert.from_proto_payload(convert.to_proto_payload(None)) is None


def test_a_question_comes_back_as_it_was_asked() -> None:
    for campaign, rule in (("spring", None), (None, "recency_days < 30"), ("", None)):
        request = pb.CountAudienceRequest(**convert.to_proto_asked(campaign, rule))
        asked = convert.from_proto_asked(request)
        assert asked == (("campaign", campaign) if rule is None else ("rule", rule))


def test_asking_about_nothing_or_about_both_is_refused_before_it_is_sent() -> None:
    for both in (None, "x"):
        with pytest.raises(TypeError, match="one of the two"):
            convert.to_proto_asked(both, both)


def test_every_gap_of_a_request_is_told_at_once() -> None:
    with pytest.raises(RequestError) as refused:
        convert.from_proto_explain(pb.ExplainCustomerRequest())
    assert [v.field for v in refused.value.violations] == ["customer", "audience"]
