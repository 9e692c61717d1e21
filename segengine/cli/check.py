"""Is everything that store.toml defines sound?"""

from __future__ import annotations

from typing import Any

import typer

from segengine.cli.options import HERE, AsJson, Store, opened
from segengine.cli.outcome import FAILURE
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted
from segengine.errors import SegengineError, StoreError


def check(store: Store = HERE, as_json: AsJson = False) -> None:
    """Find every mistake in the segments, campaigns and pages; exit 1 where there is one."""
    findings: list[dict[str, Any]] = []
    defined = ""
    try:
        with opened(store) as engine:
            findings = [
                {"place": f.place, "severity": f.severity, "message": f.message}
                for f in engine.check()
            ]
            defined = ", ".join(
                counted(len(there), word)
                for there, word in (
                    (engine.segments.definitions, "segment"),
                    (engine.campaigns, "campaign"),
                    (engine.pages, "page"),
                )
            )
    except StoreError:
        raise
    except SegengineError as error:
        # A store whose settings cannot be read does not open: that is what was asked.
        findings = [{"place": "store.toml", "severity": "error", "message": str(error)}]
    errors = sum(finding["severity"] == "error" for finding in findings)
    if as_json:
        print_json({"findings": findings, "errors": errors})
    else:
        screen = console()
        for finding in findings:
            style = "bold red" if finding["severity"] == "error" else "bold yellow"
            screen.print(f"{finding['severity']}: {finding['place']}", style=style)
            screen.print(f"{finding['message']}\n", soft_wrap=True)
        screen.print(counted(len(findings), "mistake") if findings else f"all sound: {defined}")
    if errors:
        raise typer.Exit(FAILURE)
