"""Any rule a text can say: a strategy over the nodes of `segengine.rules.expr`."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from decimal import Decimal

from hypothesis import strategies as st

from segengine.days import HOUR, MINUTE, SECOND
from segengine.rules import expr as e
from segengine.rules.functions import AGREEING, SIGNATURES
from segengine.schema.kinds import Kind

ODD_TEXTS = (
    "it's",
    "''",
    "\\",
    "a\\'b",
    "%",
    "-- x",
    "/* x",
    "*/",
    ";",
    "\n",
    "\x00",
    "$$",
    "東京",
)
WORDS = (
    "recency_days city tags select and not null case end interval date timestamp time values table "
    "from where group user first last min max count sum left right if extract cast map list set "
    "desc asc over filter escape all any true false current_date array struct show comment"
).split()
ODD_NAMES = ('"', 'a"b', "a.b", "a b", "ünïcode", "東京", "1st", "_", "a-b", "--", "/*")
TEXTS = st.text(max_size=12) | st.sampled_from(ODD_TEXTS)
NAMES = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).map(str.lower)
    | st.sampled_from(WORDS)
    | st.sampled_from(ODD_NAMES)
)
INTEGERS = st.integers(-(2**70), 2**70)
DECIMALS = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(-(10**20), 10**20),
    st.integers(0, 12),
)  # fmt: skip
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
MOMENTS = st.datetimes() | st.datetimes(timezones=st.just(UTC) | OFFSETS)
LITERALS = st.builds(
    e.Literal,
    st.none() | st.booleans() | INTEGERS | DECIMALS | FLOATS | TEXTS | st.dates() | MOMENTS,
)
SPANS = st.builds(
    lambda months, days, count, unit: e.Interval(months, days, count * unit),
    st.integers(-400, 400), st.integers(-4000, 4000), st.integers(-999, 999),
    st.sampled_from([HOUR, MINUTE, SECOND]),
)  # fmt: skip
COLUMNS = st.builds(e.Name, NAMES, st.just("") | st.sampled_from(["context", "store"]) | NAMES)
LEAVES = LITERALS | COLUMNS | SPANS


def _larger(inner: st.SearchStrategy[e.Expr]) -> st.SearchStrategy[e.Expr]:
    some = st.lists(inner, min_size=1, max_size=3).map(tuple)
    many = st.lists(inner, min_size=2, max_size=3)
    pairs = st.lists(st.tuples(inner, inner), min_size=1, max_size=3).map(tuple)
    calls = [
        st.builds(e.Call, st.just(name), st.tuples(*[inner] * len(signature.args)))
        for name, signature in SIGNATURES.items()
    ]
    calls += [st.builds(e.Call, st.just(name), st.tuples(inner, inner)) for name in AGREEING]
    calls += [st.builds(e.Call, st.sampled_from(["segment", "affinity", "my_own"]), some)]
    return st.one_of(
        st.builds(e.negative, inner),
        st.builds(e.Arithmetic, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner, inner),
        st.builds(e.Compare, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), inner, inner),
        st.builds(e.DistinctFrom, inner, inner, st.booleans()),
        st.builds(e.Between, inner, inner, inner),
        st.builds(e.OneOf, inner, some),
        st.builds(e.IsNull, inner),
        st.builds(e.Like, inner, inner, st.sampled_from(["", "!", "\\", "'"]), st.booleans()),
        st.builds(e.ListOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(e.Case, pairs, st.none() | inner, st.none() | inner),
        st.builds(e.Cast, inner, st.sampled_from([Kind.BIGINT, Kind.DOUBLE])),
        st.builds(e.Not, inner),
        many.map(tuple).map(e.conjunction),
        many.map(tuple).map(e.disjunction),
        *calls,
    )


TREES = st.recursive(LEAVES, _larger, max_leaves=12)
"""Trees as `parse` makes them: flat ANDs and ORs, and no minus before a bare number."""
