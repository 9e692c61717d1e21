"""Pages as bytes are what protobuf writes of the same pages, however often and in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from segengine_server import convert, page_bytes
from segengine_server.answers import Page, Placement, Product
from segengine_server.page_bytes import PageBytes
from segengine_server.wire import segengine_pb2 as pb

NAMES = st.text(max_size=5)
PRODUCTS = st.builds(Product, NAMES, st.floats(0, 1), NAMES)
PLACEMENTS = st.builds(
    Placement,
    NAMES,
    st.none() | NAMES,
    st.none() | NAMES,
    st.sampled_from(["MATCHED", "FALLBACK", "EMPTY"]),
    st.lists(PRODUCTS, max_size=3),
    st.none() | st.dictionaries(NAMES, st.integers()) | st.just("x" * 300),
)
MOMENTS = st.integers(0, 3).map(lambda s: datetime(2026, 3, 4, tzinfo=UTC) + timedelta(seconds=s))


@st.composite
def pages(draw: Any) -> list[Page]:
    """Some pages that share placements, moments and traits, as the pages of a store do."""
    placements = draw(st.lists(PLACEMENTS, min_size=1, max_size=5))
    placed = st.lists(st.sampled_from(placements), max_size=6)
    of_many = draw(st.lists(placed.map(tuple), min_size=1, max_size=3))
    traits = draw(st.lists(st.lists(NAMES, max_size=3).map(tuple), min_size=1, max_size=2))
    return [
        Page(
            draw(st.sampled_from(of_many) | placed),
            draw(MOMENTS),
            draw(st.integers(0, 3)),
            draw(st.none() | MOMENTS),
            draw(st.sampled_from(traits)),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]


@settings(max_examples=60, deadline=None)
@given(pages())
def test_bytes_of_pages_are_what_protobuf_reads_as_the_same_pages(found: list[Page]) -> None:
    written = PageBytes()
    for page in found:
        assert pb.GetPageReply.FromString(written.of(page)) == convert.to_proto_page(page)
    many = pb.BatchGetPagesReply.FromString(written.of_many(found))
    assert list(many.pages) == [convert.to_proto_page(page) for page in found]


def test_what_is_kept_is_bounded_and_what_was_let_go_is_written_anew(monkeypatch: Any) -> None:
    monkeypatch.setattr(page_bytes, "MOST_KEPT", 3)
    monkeypatch.setattr(page_bytes, "_MOST_OTHERS", 3)
    monkeypatch.setattr(page_bytes, "_MOST_PAGES", 3)
    written = PageBytes()
    moment = datetime(2026, 3, 4, tzinfo=UTC)
    for number in range(40):
        placed = Placement("top", f"m{number}", None, "MATCHED", [], {"n": number})
        until = moment + timedelta(seconds=number)
        page = Page((placed,), moment, 1, until, (f"trait {number}",))  # type: ignore[arg-type]
        assert pb.GetPageReply.FromString(written.of(page)) == convert.to_proto_page(page)
    assert len(written._placements) <= 3
    assert len(written._of_all) <= 3
    assert len(written._payloads) <= 3
    assert len(written._moments) <= 3
    assert len(written._traits) <= 3


def test_a_pages_placements_are_written_once_for_all_who_see_them(monkeypatch: Any) -> None:
    written, made = PageBytes(), []
    plain = convert.to_proto_placement
    monkeypatch.setattr(
        convert, "to_proto_placement", lambda *given: made.append(given) or plain(*given)
    )
    placed = Placement("top", "all", None, "MATCHED", [], None)
    for second in range(5):
        moment = datetime(2026, 3, 4, 0, 0, second, tzinfo=UTC)
        written.of(Page([placed], moment, second, None, []))
    assert len(made) == 1
