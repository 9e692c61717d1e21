"""How did the calls of a load end? The server counts them, as h2load does not see it."""

from __future__ import annotations

import urllib.request


def calls_by_end(metrics_port: int) -> dict[str, int]:
    """Calls of GetPage so far, by the name of their status; nothing without metrics (0)."""
    if not metrics_port:
        return {}
    address = f"http://127.0.0.1:{metrics_port}/metrics"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return counted(answer.read().decode())


def counted(text: str) -> dict[str, int]:
    """The same of the text of `/metrics`."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("segengine_calls_total{") and "PageService/GetPage" in name:
            found[name.partition('code="')[2].partition('"')[0]] = int(float(value))
    return found


def since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What ended between two looks."""
    return {
        code: count - before.get(code, 0)
        for code, count in after.items()
        if count > before.get(code, 0)
    }
