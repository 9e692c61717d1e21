"""Is everything that store.toml defines sound?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer

from segengine.cli.options import HERE, AsJson, Store, opened
from segengine.cli.outcome import FAILURE
from segengine.cli.plain import print_json
from segengine.cli.show import console, counted
from segengine.errors import SegengineError, StoreError

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "cyan"}


def check(store: Store = HERE, as_json: AsJson = False) -> None:
    """Look through all segments, campaigns and pages; exit 1 where one cannot be used."""
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
    said = Counter(str(finding["severity"]) for finding in findings)
    if as_json:
        counts = {"errors": said["error"], "warnings": said["warning"], "notes": said["note"]}
        print_json({"findings": findings, **counts})
    else:
        screen = console()
        for finding in findings:
            style = _STYLES[finding["severity"]]
            screen.print(f"{finding['severity']}: {finding['place']}", style=style)
            screen.print(f"{finding['message']}\n", soft_wrap=True)
        listed = ", ".join(counted(said[word], word) for word in _STYLES if said[word])
        sound = "" if said["error"] else f"all sound: {defined}"
        screen.print("; ".join(part for part in (sound, listed) if part))
    if said["error"]:
        raise typer.Exit(FAILURE)
