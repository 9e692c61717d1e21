"""What does a rule say? A tiny syntax tree for tests, its types, and its text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TypeAlias, assert_never

from .leaves import Affinity, Bucket, History, Leaf, Named, Population
from .local_time import local_date

Value: TypeAlias = (
    bool | int | float | Decimal | str | date | datetime | Sequence[str | None] | None
)


class Type(Enum):
    """The eight types of the language; DOUBLE is also the type of a literal with a point."""

    BOOLEAN = "BOOLEAN"
    BIGINT = "BIGINT"
    DOUBLE = "DOUBLE"
    MONEY = "MONEY"
    VARCHAR = "VARCHAR"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"
    TEXTS = "VARCHAR[]"


NUMBERS = frozenset({Type.BIGINT, Type.DOUBLE, Type.MONEY})
CALENDAR_UNITS = ("DAY", "WEEK", "MONTH", "YEAR")
EXACT_UNITS = ("HOUR", "MINUTE", "SECOND")
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
DISTINCTIONS = ("IS DISTINCT FROM", "IS NOT DISTINCT FROM")

RESULT_TYPES: Mapping[str, Type] = {
    "lower": Type.VARCHAR,
    "upper": Type.VARCHAR,
    "length": Type.BIGINT,
    "starts_with": Type.BOOLEAN,
    "ends_with": Type.BOOLEAN,
    "contains": Type.BOOLEAN,
    "year": Type.BIGINT,
    "month": Type.BIGINT,
    "day": Type.BIGINT,
    "hour": Type.BIGINT,
    "dayofweek": Type.BIGINT,
    "list_contains": Type.BOOLEAN,
    "list_has_any": Type.BOOLEAN,
    "list_has_all": Type.BOOLEAN,
    "len": Type.BIGINT,
    "days_since": Type.BIGINT,
    "days_until": Type.BIGINT,
    "days_until_birthday": Type.BIGINT,
    "in_last_days": Type.BOOLEAN,
}
"""Functions whose result type is their own; the others take it from their arguments."""


@dataclass(frozen=True, slots=True)
class Column:
    """A trait by its name."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; None is NULL of a type.

    A Decimal is a literal with a point: exact against money, else DOUBLE. A float is one with an
    exponent. A datetime without a zone is wall time of the store.
    """

    value: Value
    type: Type


@dataclass(frozen=True, slots=True)
class Now:
    """now(): the moment the answer is true for."""


@dataclass(frozen=True, slots=True)
class Today:
    """today(): the store's calendar date at that moment."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A moment or date, `count` units later; `count` may be negative."""

    base: Node
    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`operator` is one of + - * / // %."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative:
    """Unary minus."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the language, segment() and CASE excepted."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """CASE WHEN condition THEN value ... [ELSE otherwise] END."""

    whens: tuple[tuple[Node, Node], ...]
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class Compare:
    """`operator` is a comparison or IS [NOT] DISTINCT FROM."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Between:
    """operand [NOT] BETWEEN low AND high, both included."""

    operand: Node
    low: Node
    high: Node
    negated: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """operand [NOT] IN (options)."""

    operand: Node
    options: tuple[Node, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """operand IS [NOT] NULL."""

    operand: Node
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    """operand [NOT] LIKE or ILIKE pattern [ESCAPE escape]."""

    operand: Node
    pattern: str
    escape: str | None = None
    folded: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """NOT operand."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """Every part, two or more."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any part, two or more."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """segment('name'): the rule saved under that name."""

    name: str


Node: TypeAlias = (
    Column
    | Constant
    | Now
    | Today
    | Shift
    | Arithmetic
    | Negative
    | Call
    | Case
    | Compare
    | Between
    | In
    | IsNull
    | Like
    | Not
    | And
    | Or
    | Segment
    | Leaf
)

CustomerId: TypeAlias = int | str
Row: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class World:
    """What a rule's answer depends on beside the buyer. `as_of` is an aware datetime.

    `history`: by table and buyer the events up to as_of by (time, arrival), each with what it
    sees of its buyer and product under `customers.x` and `product.x`. `everyone`: the buyers
    that population leaves look at. `affinities`: by buyer, kind and value. `buckets`: by salt
    and buyer.
    """

    as_of: datetime
    timezone: str
    segments: Mapping[str, Node] = field(default_factory=dict)
    history: Mapping[str, Mapping[CustomerId, Sequence[Row]]] = field(default_factory=dict)
    everyone: Sequence[Row] = ()
    affinities: Mapping[CustomerId, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    buckets: Mapping[str, Mapping[CustomerId, float]] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The store's calendar date at `as_of`."""
        return local_date(self.as_of, self.timezone)


def is_point(node: Node) -> bool:
    """True of a literal with a point, whose type depends on what it stands beside."""
    return isinstance(node, Constant) and isinstance(node.value, Decimal)


def common_type(nodes: Iterable[Node]) -> Type:
    """The type in which operands of one comparison, CASE, coalesce, least or greatest meet.

    Money beside integers and literals with a point stays money; beside DOUBLE it is DOUBLE. A
    date beside an instant is the instant of its midnight.
    """
    operands = list(nodes)
    types = {type_of(node) for node in operands if not is_point(node)}
    if any(map(is_point, operands)) and Type.MONEY not in types:
        types.add(Type.DOUBLE)
    for widest in (Type.DOUBLE, Type.MONEY, Type.TIMESTAMP):
        if widest in types:
            return widest
    (only,) = types
    return only


def type_of(node: Node) -> Type:
    """The type of a node's value."""
    match node:
        case Column() | Constant():
            return node.type
        case Now():
            return Type.TIMESTAMP
        case Today():
            return Type.DATE
        case Shift(base=base, unit=unit):
            return type_of(base) if unit in CALENDAR_UNITS else Type.TIMESTAMP
        case Arithmetic():
            return _arithmetic_type(node)
        case Negative(operand=operand):
            return type_of(operand)
        case Call(function=function, arguments=arguments):
            if function in RESULT_TYPES:
                return RESULT_TYPES[function]
            if function in {"nullif", "abs"}:
                return type_of(arguments[0])
            return common_type(arguments)
        case Case(whens=whens, otherwise=otherwise):
            return common_type([value for _, value in whens] + ([otherwise] if otherwise else []))
        case Compare() | Between() | In() | IsNull() | Like() | Not() | And() | Or() | Segment():
            return Type.BOOLEAN
        case Named(meaning=meaning):
            return type_of(meaning)
        case Affinity() | Bucket():
            return Type.DOUBLE
        case History(function=function, column=column):
            return _history_type(function, column)
        case Population(function=function, operand=operand):
            return type_of(operand) if function in {"min", "max"} else Type.DOUBLE
        case _:
            assert_never(node)


def _history_type(function: str, column: Column | None) -> Type:
    if function in {"count", "count_distinct"}:
        return Type.BIGINT
    assert column is not None
    return Type.DOUBLE if function == "avg" else column.type


def _arithmetic_type(node: Arithmetic) -> Type:
    if node.operator == "/":
        return Type.DOUBLE
    if node.operator in {"//", "%"}:
        return Type.BIGINT
    if node.operator in {"+", "-"}:
        return common_type((node.left, node.right))
    types = {type_of(node.left), type_of(node.right)}
    if types == {Type.BIGINT}:
        return Type.BIGINT
    return Type.MONEY if types == {Type.MONEY, Type.BIGINT} else Type.DOUBLE


_OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _UNARY, _ATOM = range(8)


def rule_text(node: Node) -> str:
    """The rule in segengine's language, with no more parentheses than SQL's precedence needs.

    Comparisons inside comparisons are in parentheses, because dialects differ there.
    """
    return _text(node)[1]


def _at(node: Node, level: int) -> str:
    """The node's text, in parentheses where it binds more loosely than `level`."""
    own, text = _text(node)
    return text if own >= level else f"({text})"


def _list(nodes: Iterable[Node]) -> str:
    return ", ".join(map(rule_text, nodes))


def _text(node: Node) -> tuple[int, str]:
    """How tightly the node's text binds, and the text."""
    match node:
        case Column(name=name):
            return _ATOM, name
        case Constant():
            text = constant_text(node)
            return (_UNARY if text.startswith("-") else _ATOM), text
        case Now():
            return _ATOM, "now()"
        case Today():
            return _ATOM, "today()"
        case Segment(name=name):
            return _ATOM, f"segment({quoted(name)})"
        case Call(function=function, arguments=arguments):
            return _ATOM, f"{function}({_list(arguments)})"
        case Case(whens=whens, otherwise=otherwise):
            arms = "".join(f" WHEN {rule_text(a)} THEN {rule_text(b)}" for a, b in whens)
            last = f" ELSE {rule_text(otherwise)}" if otherwise else ""
            return _ATOM, f"CASE{arms}{last} END"
        case Shift(base=base, count=count, unit=unit):
            sign = "-" if count < 0 else "+"
            return _ADD, f"{_at(base, _ADD)} {sign} INTERVAL {abs(count)} {unit}"
        case Arithmetic(operator=operator, left=left, right=right):
            level = _ADD if operator in {"+", "-"} else _MULTIPLY
            return level, f"{_at(left, level)} {operator} {_at(right, level + 1)}"
        case Negative(operand=operand):
            return _UNARY, f"-{_at(operand, _ATOM)}"
        case And(parts=parts):
            return _AND, " AND ".join(_at(part, _NOT) for part in parts)
        case Or(parts=parts):
            return _OR, " OR ".join(_at(part, _AND) for part in parts)
        case Not(operand=operand):
            return _NOT, f"NOT {_at(operand, _NOT)}"
        case Compare() | Between() | In() | IsNull() | Like():
            return _COMPARE, _predicate_text(node)
        case Named() | Affinity() | Bucket() | History() | Population():
            return _ATOM, _leaf_text(node)
        case _:
            assert_never(node)


def _leaf_text(node: Leaf) -> str:
    match node:
        case Named(name=name):
            return name
        case Affinity(kind=kind, value=value):
            return f"affinity({quoted(kind)}, {quoted(value)})"
        case Bucket(salt=salt):
            return f"bucket({quoted(salt)})"
        case History(function=function, table=table, column=column, where=where):
            counted = f"{table}.{column.name}" if column else table
            if function == "count_distinct":
                function, counted = "count", f"DISTINCT {counted}"
            return f"{function}({counted})" + _filter_text(where)
        case Population(function=function, operand=operand, share=share, where=where):
            second = f", {share}" if share is not None else ""
            keys = ", ".join(column.name for column in node.partition)
            over = f" OVER ({'PARTITION BY ' + keys if keys else ''})"
            return f"{function}({rule_text(operand)}{second})" + _filter_text(where) + over
        case _:
            assert_never(node)


def _filter_text(where: Node | None) -> str:
    return f" FILTER (WHERE {rule_text(where)})" if where else ""


def _predicate_text(node: Compare | Between | In | IsNull | Like) -> str:
    if isinstance(node, Compare):
        return f"{_at(node.left, _ADD)} {node.operator} {_at(node.right, _ADD)}"
    operand, negation = _at(node.operand, _ADD), " NOT" if node.negated else ""
    match node:
        case Between(low=low, high=high):
            return f"{operand}{negation} BETWEEN {_at(low, _ADD)} AND {_at(high, _ADD)}"
        case In(options=options):
            return f"{operand}{negation} IN ({_list(options)})"
        case IsNull():
            return f"{operand} IS{negation} NULL"
        case Like(pattern=pattern, escape=escape, folded=folded):
            keyword = "ILIKE" if folded else "LIKE"
            last = f" ESCAPE {quoted(escape)}" if escape else ""
            return f"{operand}{negation} {keyword} {quoted(pattern)}{last}"
        case _:
            assert_never(node)


def quoted(text: str) -> str:
    """A SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def constant_text(node: Constant) -> str:
    """A literal as a rule writes it."""
    match node.value:
        case None:
            return "NULL"
        case bool(value):
            return "TRUE" if value else "FALSE"
        case int(value):
            return str(value)
        case Decimal() as value:
            text = format(value, "f")
            return text if "." in text else text + ".0"
        case float(value):
            text = repr(value).replace("e+", "e")
            return text if "e" in text else text + "e0"
        case str(value):
            return quoted(value)
        case datetime() as value:
            text = quoted(value.isoformat(sep=" "))
            return f"TIMESTAMPTZ {text}" if value.tzinfo else f"TIMESTAMP {text}"
        case date() as value:
            return f"DATE {quoted(value.isoformat())}"
        case options:
            return "[" + ", ".join("NULL" if o is None else quoted(o) for o in options) + "]"
