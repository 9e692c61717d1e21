"""Who a visitor is to the loop that decides a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segengine.pages import visit_loops
from segengine.pages.bound_page import visitor_of


@example(0)
@example(-(2**63))
@example(2**63 - 1)
@example(10**18)
@given(st.integers(-(2**63), 2**63 - 1))
def test_the_digits_of_a_number_are_its_text(number: int) -> None:
    asked = visitor_of(number)
    assert (asked.number, asked.size) == (number, visit_loops.DIGITS)
    out = np.zeros(20, np.uint8)
    size = visit_loops._digits(np.int64(number), out)
    assert out[:size].tobytes().decode() == str(number)


@pytest.mark.parametrize("visitor", ["", "a", "\ud800x", 2**63, -(2**63) - 1, True, 1.5])
def test_any_other_id_is_asked_for_by_its_text(visitor: Any) -> None:
    asked = visitor_of(visitor)
    text = asked.text[: asked.size].tobytes()
    assert text == str(visitor).encode(errors="surrogatepass")


def test_nobody_has_no_text() -> None:
    assert visitor_of(None).size == -1
