"""A small shop's store, made through the command line itself, and a way to ask it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from segengine.cli.app import app

SETTINGS = """
[store]
timezone = "Asia/Shanghai"
channels = ["sms"]
as_of = 2025-06-30T20:00:00+08:00

[load.customers]
source = "customers.parquet"
columns = { hat_size = "hat_size" }
[load.orders]
source = "orders-*.csv"

[tables.tickets]
topic = "VARCHAR"

[holdout]
share = 0.05

[segments]
regulars = "order_count >= 2"
[segments.complained]
rule = "list_contains(tags, 'complained')"
suppress = true

[campaigns.spring]
segment = "segment('regulars')"
exclusions = ["region = 'west'"]
channel = "sms"
variants = { a = 0.5, b = 0.5 }
holdout = 0.1
limit = 30
order_by = "amount_total DESC"

[campaigns.over]
segment = "TRUE"
ends_at = 2025-01-01T00:00:00Z

[pages.home.slots.banner.modules.regulars]
rule = "segment('regulars') AND context.device = 'mobile'"
priority = 10
payload = { title = "Good to see you", since = 2025-06-01 }
[pages.home.slots.banner.modules.season]
fallback = true
[pages.home.slots.footer.modules.nobody]
rule = "region = 'moon'"
"""
REGIONS = ("north", "west", None, "[b]south[/b]")


class Asked:
    """What a command printed and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as the one JSON object that it must be."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert self.out.count("\n") == 1
        return found


Ask = Callable[..., Asked]


def ask(*arguments: str | Path) -> Asked:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return Asked(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store.toml and a shop's files: 100 buyers; number n has n % 4 orders."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "store.toml").write_text(SETTINGS, encoding="utf-8")
    numbers = range(1, 101)
    pq.write_table(
        pa.table(
            {
                "customer_id": pa.array(numbers, pa.int64()),
                "region": [REGIONS[n % 4] for n in numbers],
                "sms_consent": [n % 10 != 0 for n in numbers],
                "tags": [["complained"] if n % 25 == 0 else [] for n in numbers],
                "hat_size": [n / 2 for n in numbers],
            }
        ),
        folder / "customers.parquet",
    )
    for part in (0, 1):
        lines = ["customer_id,order_id,time,amount,note"]
        lines += [
            f"{n},{10 * n + k},2025-06-{1 + n % 28:02} 12:00:00,{n}.{k}5,x"
            for n in numbers
            if n % 2 == part
            for k in range(n % 4)
        ]
        (folder / f"orders-{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    loaded = ask("load", "--store", folder)
    assert loaded.status == 0, loaded.err
    return folder


@pytest.fixture(scope="session")
def text_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose customer_ids are texts, digits among them."""
    folder = tmp_path_factory.mktemp("text-shop")
    (folder / "store.toml").write_text("[store]\n", encoding="utf-8")
    (folder / "c.csv").write_text("customer_id,region\nab-1,north\n007,west\n", encoding="utf-8")
    mapped = "customer_id=CAST(customer_id AS VARCHAR)"
    loaded = ask("load", "customers", folder / "c.csv", "--column", mapped, "--store", folder)
    assert loaded.status == 0, loaded.err
    return folder
