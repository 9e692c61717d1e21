"""How many buyers does a rule hold for?"""

from __future__ import annotations

import time

from segengine.cli.options import HERE, AsJson, Rule, Store, opened
from segengine.cli.plain import print_json
from segengine.cli.show import console, milliseconds, moment, share


def count(rule: Rule, store: Store = HERE, as_json: AsJson = False) -> None:
    """Count the buyers a rule holds for."""
    with opened(store) as engine:
        started = time.perf_counter()
        answer = engine.segment(rule).answer()
        seconds = time.perf_counter() - started
        if as_json:
            print_json(
                {
                    "count": answer.count,
                    "as_of": answer.as_of,
                    "data_version": answer.data_version,
                }
            )
            return
        everybody = engine.segment("TRUE").count()
        part = share(answer.count, everybody)
        console().print(
            f"{answer.count:,} of {everybody:,} buyers ({part}), as of "
            f"{moment(answer.as_of, engine.timezone)}, in {milliseconds(seconds)}"
        )
