"""Every example of every page, run; every command, setting, trait and error, documented."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import io
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import segengine_server
import typer
from segengine_server.wire import segengine_pb2 as pb
from typer.testing import CliRunner

import segengine as se
from segengine import errors
from segengine.audiences.ledger import STEPS
from segengine.bench import readme as bench_readme
from segengine.cli.app import app
from segengine.cli.serving import serving
from segengine.cli.store_template import TEMPLATE
from segengine.rules.functions import AGREEING, ALIASES, SIGNATURES
from segengine.schema import store_config
from segengine.schema.affinity_settings import AffinitySettings
from segengine.schema.cap_settings import Cap
from segengine.schema.habit_settings import HabitSettings
from segengine.schema.level_settings import LevelSettings
from segengine.schema.pool_settings import PoolSettings
from segengine.schema.prediction_settings import PredictionSettings
from segengine.schema.range_mix import RangeMix
from segengine.schema.response_settings import ResponseSettings
from segengine.schema.storage_settings import StorageSettings
from segengine.schema.store_config import StoreConfig
from segengine.schema.tables import catalogue
from segengine.schema.text_settings import TextSettings
from tests.docs.blocks import DOCS, PAGES, ROOT, Block, blocks_of, rules_of, same

SERVER = "127.0.0.1:50051"
MOST_NOT_RUN = 6
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(name: str) -> str:
    """A page without the fences, so that what is only in an example is not taken for prose."""
    return re.sub(r"^```.*?^```$", "", text_of(name), flags=re.MULTILINE | re.DOTALL)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- examples -----------------------------------------------------------------------------------


class Reader:
    """Does what a page says, from top to bottom."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._target: str | None = None

    def follow(self, block: Block) -> None:
        if block.file:
            path = self._folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
        elif block.language == "python":
            self._execute(block)
        elif block.language == "console":
            self._type(block)
        elif block.language == "sql":
            self._count(block)
        elif block.language == "toml":
            self._set(block)

    def _execute(self, block: Block) -> None:
        printed = io.StringIO()
        code = block.body.replace(SERVER, self._server()) if SERVER in block.body else block.body
        # The lines of a traceback are those of the page.
        compiled = compile("\n" * block.line + code, str(block.page), "exec")
        with redirect_stdout(printed):
            exec(compiled, self._names)
        said = printed.getvalue()
        promised = block.printed or ""
        assert same(said, promised), f"{block.place}\n--- printed\n{said}--- promised\n{promised}"

    def _type(self, block: Block) -> None:
        status = 0
        for command, promised in block.commands():
            words = shlex.split(command)
            # cli.md runs the demo with fewer buyers.
            if words[0] != "segengine" or words[1:] == ["demo"]:
                continue
            result = CliRunner().invoke(app, words[1:])
            said, status = result.output, result.exit_code
            at = f"{block.place}: {command}"
            if promised.strip():
                assert same(said, promised), f"{at}\n--- printed\n{said}--- promised\n{promised}"
            if "--json" in words:
                for key in json.loads(result.stdout):
                    assert f"`{key}`" in prose_of(f"docs/{block.page.name}"), f"{at}: `{key}`"
        assert status == block.exit_status, f"{block.place}: exit status {status}"

    def _count(self, block: Block) -> None:
        engine, wrong = self._names["engine"], []
        for rule, promised in rules_of(block):
            try:
                count = engine.segment(rule).count()
            except se.RuleError as error:
                wrong.append(str(error))
            else:
                if promised not in (None, count):
                    wrong.append(f"{rule} holds for {count}, not {promised}")
        assert not wrong, "\n".join([block.place, *wrong])

    def _set(self, block: Block) -> None:
        """Settings are sound, and those of the shop are what the shop has."""
        given = tomllib.loads(block.body)
        store = {"channels": ["sms", "email"], **given.get("store", {})}
        has = tomllib.loads(Path("shop/store.toml").read_text(encoding="utf-8"))
        segments = {**has["segments"], **given.get("segments", {})}
        engine = se.Engine(config={**given, "store": store, "segments": segments})
        assert {finding.severity for finding in engine.check()} <= {"note"}, block.place
        assert _part_of(given, has), f"{block.place}: docs/shop/store.toml says otherwise"

    def _server(self) -> str:
        """A server over the shop, until the page ends."""
        if self._target is None:
            engine = self._stack.enter_context(se.Engine.open("shop"))
            self._target = self._stack.enter_context(serving(engine))
        return self._target


def _part_of(given: dict[str, Any], has: dict[str, Any]) -> bool:
    """Whether what both have is the same."""
    shared = [(given[key], has[key]) for key in given.keys() & has.keys()]
    return all(
        _part_of(a, b) if isinstance(a, dict) and isinstance(b, dict) else a == b for a, b in shared
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a page is followed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_of_a_page_does_what_it_says(page: Path, folder: Path, shop: Path) -> None:
    blocks = blocks_of(page)
    loads_it = any("segengine load --store shop" in b.body for b in blocks)
    shutil.copytree(DOCS / "shop" if loads_it else shop, folder / "shop")
    with ExitStack() as stack:
        reader = Reader(folder, stack)
        for block in blocks:
            if block.is_run:
                reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_an_example_that_is_run(page: Path) -> None:
    run = [b for b in blocks_of(page) if b.is_run and b.language in ("python", "console", "sql")]
    assert any("segengine" in b.body or b.language != "console" for b in run)


def test_few_examples_are_only_read() -> None:
    skipped = [b.place for page in PAGES for b in blocks_of(page) if not b.is_run]
    assert len(skipped) <= MOST_NOT_RUN, skipped


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_every_page_begins_with_the_question_it_answers(page: Path) -> None:
    title, question = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.fullmatch(r"\*[^*]+\?\*", question.replace("\n", " ")), question


def test_fifteen_lines_of_python_are_the_first_example() -> None:
    first = next(b for b in blocks_of(ROOT / "README.md") if b.language == "python")
    assert len([line for line in first.body.splitlines() if line.strip()]) <= 15


# --- links --------------------------------------------------------------------------------------


def links() -> Iterator[tuple[Path, str]]:
    for page in [*PAGES, ROOT / "ARCHITECTURE.md"]:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            yield page, target


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_link_leads_somewhere() -> None:
    for page, target in links():
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    found = {target for page, target in links() if page.name == "README.md"}
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= found


# --- what is generated --------------------------------------------------------------------------


def test_traits_page_is_what_the_catalogue_says() -> None:
    assert script("make_traits").page() == text_of("docs/traits.md"), (
        "run `python docs/make_traits.py`"
    )


def test_performance_table_is_that_of_the_saved_result() -> None:
    saved = DOCS / "bench.json"
    if not saved.exists():
        pytest.skip("no docs/bench.json: no result has been saved")
    result = json.loads(saved.read_text(encoding="utf-8"))
    text = text_of("README.md")
    assert bench_readme.with_performance(text, result) == text


def test_performance_table_is_replaced_whole() -> None:
    saved = ROOT / "tests" / "bench" / "golden" / "result.json"
    result = json.loads(saved.read_text(encoding="utf-8"))
    once = bench_readme.with_performance(text_of("README.md"), result)
    assert bench_readme.performance(result) in once
    assert bench_readme.with_performance(once, result) == once
    assert once.startswith(text_of("README.md").partition(bench_readme.BEGIN)[0])
    assert once.endswith(text_of("README.md").partition(bench_readme.END)[2])
    with pytest.raises(ValueError, match="each once"):
        bench_readme.with_performance("no marks", result)


# --- nothing is left out ------------------------------------------------------------------------


def test_windows_of_the_readme_admit_as_many_dates_as_it_says() -> None:
    table = text_of("README.md").partition("last 30")[2]
    windows = re.findall(r"^\| `(.+)` \| (\d+) \| (\d+ \w+)", table, re.MULTILINE)
    assert len(windows) >= 5
    today = datetime(2026, 3, 15, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
    orders = {
        "customer_id": list(range(60)),
        "time": [today - timedelta(days=n) for n in range(60)],
    }
    engine = se.Engine(timezone="Asia/Shanghai", as_of=today)
    engine.load("orders", pa.table(orders))
    for rule, dates, first in windows:
        assert engine.segment(rule).count() == int(dates), rule
        day = today - timedelta(days=int(dates) - 1)
        assert f"{day.day} {day:%B}" == first, rule


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    page = text_of("docs/cli.md")
    section = re.search(rf"^## segengine {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None, f"`## segengine {name}`"
    assert f"$ segengine {name}" in section[1], "an example"
    shared = page.partition("\n## ")[0]
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            if option.startswith("--"):
                documented = re.search(rf"`{option}[ `]", section[1] + shared)
                assert documented, f"segengine {name} {option}"


def test_no_command_is_documented_that_is_not_there() -> None:
    heads = re.findall(r"^## segengine (\w+)$", text_of("docs/cli.md"), re.MULTILINE)
    assert sorted(heads) == sorted(COMMANDS)


def settings() -> Iterator[str]:
    """Every key of `store.toml`, by the classes that hold them and the template of `init`."""
    places = {
        "timezone": "store.timezone", "currency": "store.currency", "channels": "store.channels",
        "as_of": "store.as_of", "money_scale": "store.money_scale",
        "consent_missing": "consent.missing", "holdout_share": "holdout.share",
        "further_tables": "tables.NAME", "constants": "constants.NAME", "load": "load.TABLE",
        "text": "text", "segments": "segments.NAME", "campaigns": "campaigns.NAME",
        "pages": "pages.NAME",
        "rfm": "rfm", "lifecycle": "lifecycle", "habit": "habit", "traits": "traits.NAME",
        "standing_memory_mb": "store.standing_memory_mb", "range_mix": "range_mix",
        "prediction": "prediction", "response": "response", "levels": "levels",
        "answers": "answers.NAME", "affinity": "affinity", "caps": "caps", "storage": "storage",
        "pools": "pools",
    }  # fmt: skip
    for each in dataclasses.fields(StoreConfig):
        yield places[each.name]
    for kind, place in (
        (store_config.LoadSpec, "load.TABLE"), (store_config.RfmSettings, "rfm"),
        (store_config.LifecycleSettings, "lifecycle"), (RangeMix, "range_mix"),
        (HabitSettings, "habit"),
        (ResponseSettings, "response"), (LevelSettings, "levels"),
        (PredictionSettings, "prediction"), (AffinitySettings, "affinity"),
        (store_config.SegmentSpec, "segments.NAME"), (TextSettings, "text"),
        (Cap, "caps"), (StorageSettings, "storage"), (PoolSettings, "pools"),
    ):  # fmt: skip
        for each in dataclasses.fields(kind):
            yield f"{place}.{each.name}"
    for kind, place in (
        (se.Campaign, "campaigns.NAME"),
        (se.Module, "pages.NAME.slots.SLOT.modules.MODULE"),
    ):
        for name in list(inspect.signature(kind.__init__).parameters)[2:]:
            yield f"{place}.{name}"
    for each in dataclasses.fields(se.Pool):
        yield f"pages.NAME.slots.SLOT.modules.MODULE.pool.{each.name}"
    yield "campaigns.NAME.segment"
    yield "pages.NAME.rule"


@pytest.mark.parametrize("setting", dict.fromkeys(settings()))
def test_every_setting_is_documented(setting: str) -> None:
    section, _, key = setting.rpartition(".")
    page = prose_of("docs/store-toml.md")
    names = {f"`[{setting}]`", f"`{setting}`"}
    if section:
        under = re.search(rf"^## `?\[+{re.escape(section)}\]+`?$(.*?)(?=^## |\Z)", page,
                          re.MULTILINE | re.DOTALL)  # fmt: skip
        if under is not None and f"`{key}`" in under[1]:
            return
    assert any(name in page for name in names), setting


def test_every_section_of_the_template_is_documented() -> None:
    page = text_of("docs/store-toml.md")
    for section in re.findall(r"^(?:# )?\[+([a-z_]+)", TEMPLATE, re.MULTILINE):
        assert f"[{section}" in page, section


def test_every_file_of_the_rules_is_on_the_map() -> None:
    text = text_of("ARCHITECTURE.md")
    for path in (ROOT / "segengine" / "rules").glob("[a-z]*.py"):
        assert re.search(rf"^  (\w+\.py )?{re.escape(path.name)} ", text, re.MULTILINE), path.name


def test_every_table_and_column_is_documented() -> None:
    page = prose_of("docs/loading.md")
    for table, spec in catalogue().items():
        line = next(x for x in page.splitlines() if x.startswith(f"| `{table}` |"))
        for column in spec.by_name:
            if column != "event_id":
                assert re.search(rf"\b{column}\b", line), f"{table}.{column}"


def test_every_field_of_a_load_report_is_documented() -> None:
    page = prose_of("docs/loading.md")
    for kind in (se.LoadReport, se.LoadProblem):
        for each in dataclasses.fields(kind):
            assert f"`{each.name}`" in page, each.name


def test_every_function_of_the_language_is_documented_and_run() -> None:
    rules = [rule for b in blocks_of(DOCS / "rules.md") if b.language == "sql"
             for rule, _ in rules_of(b)]  # fmt: skip
    for name in (*SIGNATURES, *AGREEING, *ALIASES, "segment"):
        assert any(re.search(rf"\b{name}\(", rule) for rule in rules), name


def test_every_step_of_a_ledger_is_documented() -> None:
    page = prose_of("docs/campaigns.md")
    for step in STEPS:
        assert f"| `{step}` |" in page, step


def test_every_reason_of_a_page_is_documented() -> None:
    page = prose_of("docs/pages.md")
    for reason in se.Reason:
        assert f"| `{reason}` |" in page, reason


def test_every_call_error_and_limit_of_the_server_is_documented() -> None:
    page = prose_of("docs/server.md")
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods_by_name:
            assert f"`{method}`" in page, method
    kinds = [errors.SegengineError, *errors.SegengineError.__subclasses__()]
    sent = {k.reason for k in kinds if k.__module__.endswith(".errors")}
    inside = {"INVALID", "CANNOT_LISTEN", "BAD_DATA", "BAD_STORE", "BAD_REPORT"}
    for reason in sent - inside | {"INTERNAL"}:
        assert f"`{reason}`" in page, reason
    for each in dataclasses.fields(segengine_server.Limits):
        assert f"`{each.name}`" in page, each.name
    for name, member in inspect.getmembers(segengine_server.Client, inspect.isfunction):
        if not name.startswith("_"):
            assert f"`{name}(" in page, name
            assert member.__doc__
