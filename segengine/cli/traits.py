"""Which traits may a rule read, and what does each mean?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segengine.cli.files import check_out, write_table
from segengine.cli.options import HERE, AsJson, Out, opened
from segengine.cli.plain import print_json
from segengine.cli.show import console, table

if TYPE_CHECKING:
    from segengine.engine import Engine

MaybeStore = Annotated[
    Path | None,
    typer.Option(
        "--store", metavar="DIR", help="The store whose own columns and traits to list too."
    ),
]

GIVEN, DECLARED = "given", "declared"


def traits(store: MaybeStore = None, out: Out = None, as_json: AsJson = False) -> None:
    """List every trait with its definition, and what a store was given or declares itself."""
    check_out(out)
    listed = _computed()
    fits: dict[str, Any] = {}
    if store is None and _is_store(HERE):
        store = HERE
    if store is not None:
        with opened(store) as engine:
            listed = _given(engine) + listed + _answers(engine) + _declared(engine)
            fits = _fits(engine)
    if out is not None:
        import pyarrow as pa

        write_table(pa.Table.from_pylist(listed), out)
    if as_json:
        print_json({"traits": listed, **fits})
        return
    _show(listed)
    for name, fitted in fits.get("fits", {}).items():
        console().print(f"{name.replace('_', ' ')}: {_said(fitted)}", soft_wrap=True)


def _show(listed: list[dict[str, Any]]) -> None:
    """Family by family: the definition, and under it the unit, what is missing when, the source."""
    from rich.text import Text

    rows: list[list[str | Text]] = []
    for place, row in enumerate(listed):
        if place == 0 or listed[place - 1]["family"] != row["family"]:
            rows.append([Text(row["family"], style="bold"), "", ""])
        told = Text(row["definition"])
        if row["family"] != GIVEN:
            source = f"from {row['source']}" if row["source"] else ""
            facts = [row["unit"], f"missing: {row['missing']}", source]
            told.append("\n" + "; ".join(fact for fact in facts if fact), style="dim")
        rows.append([f"  {row['name']}", row["kind"], told])
    console().print(table(["trait", "kind", "definition"], rows, whole=("trait", "kind")))


def _fits(engine: Engine) -> dict[str, Any]:
    from segengine.days import moment

    return {"fits": {"fitted_at": moment(engine.fits.fitted_at), **engine.fits.shown}}


def _said(fitted: Any) -> str:
    """A fitted value: cut points, or parameters by name."""
    if isinstance(fitted, dict):
        return ", ".join(f"{name} {_said(value)}" for name, value in fitted.items())
    if isinstance(fitted, tuple):
        return ", ".join(map(_said, fitted)) or "nothing to fit to"
    return f"{fitted:,.6g}" if isinstance(fitted, float) else str(fitted)


def _computed() -> list[dict[str, Any]]:
    """The traits of buyers, and those of products by the name of their table."""
    from segengine.schema.tables import PRODUCTS
    from segengine.traits.catalogue import CATALOGUE
    from segengine.traits.products import PRODUCT_TRAITS

    named = [(trait.name, trait) for trait in CATALOGUE]
    named += [(f"{PRODUCTS}.{trait.name}", trait) for trait in PRODUCT_TRAITS]
    return [
        {
            "name": name,
            "family": trait.family,
            "kind": trait.kind.value,
            "unit": trait.unit,
            "definition": trait.definition,
            "missing": trait.missing,
            "source": trait.source,
        }
        for name, trait in named
    ]


def _given(engine: Engine) -> list[dict[str, Any]]:
    """The given columns of customers: those every store has, and what this shop added."""
    kinds = {c.name: c.kind.value for c in engine.config.tables()["customers"].columns}
    kinds["customer_id"] = engine.id_kind
    known = {row["name"] for row in (*_computed(), *_answers(engine))}
    held = engine.memory().to_pylist()
    names = sorted(
        row["column"]
        for row in held
        if row["table"] == "customers"
        and row["column"] not in known
        and row["column"] not in kinds
        and row["column"] != "(internal)"
    )
    for field in engine.segment("FALSE").table(names).schema:
        if field.name in names:
            kinds[field.name] = _sql_name(field.type)
    return [
        {
            "name": name,
            "family": GIVEN,
            "kind": kind,
            "unit": "",
            "definition": "as loaded",
            "missing": "never" if name in ("customer_id", "tags") else "not given",
            "source": "customers",
        }
        for name, kind in kinds.items()
    ]


def _answers(engine: Engine) -> list[dict[str, Any]]:
    """The traits with the last answers to survey questions, those that no one was asked too."""
    from segengine.schema.answer_settings import PREFIX

    asked = {name: question for question, name in engine.survey_questions.items() if name}
    named = {PREFIX + name: question for name, question in engine.config.answers.items()}
    return [
        {
            "name": name,
            "family": "membership",
            "kind": "VARCHAR",
            "unit": "",
            "definition": f"last answer to the survey question `{question}`",
            "missing": "no answer",
            "source": "behaviors",
        }
        for name, question in (named | asked).items()
    ]


def _declared(engine: Engine) -> list[dict[str, Any]]:
    """The traits under `[traits]`; one that cannot be has no kind, and `check` says why."""
    from segengine.errors import RuleError

    listed = []
    for name, definition in engine.segments.traits.items():
        kind, read = "", ""
        try:
            term = engine.segments.trait_of(name)
        except RuleError:
            missing = "cannot be: see `segengine check`"
        else:
            kind, missing = term.kind.value if term.kind else "", "its expression has no value"
            tables = (t.value.table if t.op == "history" else "customers" for t in term.sources())
            read = ", ".join(dict.fromkeys(tables))
        listed.append(
            {
                "name": name,
                "family": DECLARED,
                "kind": kind,
                "unit": "",
                "definition": " ".join(definition.text.split()),
                "missing": missing,
                "source": read,
            }
        )
    return listed


def _sql_name(kind: Any) -> str:
    import pyarrow as pa

    for is_it, name in (
        (pa.types.is_boolean, "BOOLEAN"),
        (pa.types.is_integer, "BIGINT"),
        (pa.types.is_floating, "DOUBLE"),
        (pa.types.is_decimal, "DECIMAL"),
        (pa.types.is_date, "DATE"),
        (pa.types.is_timestamp, "TIMESTAMP"),
        (lambda k: pa.types.is_list(k) or pa.types.is_large_list(k), "VARCHAR[]"),
    ):
        if is_it(kind):
            return name
    return "VARCHAR"


def _is_store(folder: Path) -> bool:
    from segengine.schema.store_config import FILE_NAME

    return (folder / FILE_NAME).is_file()
