"""Which module fills each slot, and what became of the others? One walk over a page's modules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.hashing import bucket_after
from segengine.kernels.jit import brief_kernel

RULE, NAME, FALLBACK, PRIORITY, TIE, HELD_STATE, HELD_BELOW, ARM_STATE = range(8)
WATCH, CAP, FADES, AFTER, VARIES, WIDTH = range(8, 14)
"""The columns of a table of modules.

RULE, NAME: places in `holds` and among the page's names. TIE: the order of equal priorities.
HELD_STATE, ARM_STATE: the FNV-1a states after the salts. HELD_BELOW: buckets below it are held
out, 0 for none. WATCH: the row of `seen`, -1 for none. CAP: impressions allowed, -1 without a cap.
FADES: priority lost for every AFTER showings without a click, AFTER 0 without a decay. VARIES: 1
where it has variants.
"""
MATCHED, FALLEN_BACK, NOT_ELIGIBLE, OUTRANKED, CAPPED, HELD_OUT, INACTIVE, ALREADY_SHOWN = range(8)
"""What became of a module."""


@brief_kernel
def fill_slots(
    modules: NDArray[np.int64],
    slots: NDArray[np.int32],
    names: int,
    holds: NDArray[np.uint8],
    page_holds: bool,
    active: NDArray[np.uint8],
    barren: NDArray[np.uint8],
    seen: NDArray[np.int32],
    text: NDArray[np.uint8],
    size: int,
    in_order: bool,
    ranks: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    out: NDArray[np.int32],
) -> None:
    """Fill the slots one after the other; each name shows once at most.

    in_order: the modules of a slot stand in their order, so that the first one that may show wins
    and those after it are not looked at; what became of those that do not show is not written.

    modules: int64[modules, WIDTH], slot by slot; column by column in memory, as most are looked at
    for their rule alone  slots: int32[slots + 1], first module of each
    holds: uint8[rules], by rule  active, barren: uint8[modules]; barren: its pool is empty
    seen: int32[watches, 2], impressions under the cap, and since the last click
    text: uint8[size at least], the visitor's id as text, size -1 without one
    ranks: int64[modules], the priority after decay  outcome: uint8[modules]
    out: int32[slots, 2], the module that shows, -1 for none, and its bucket where it has variants
    """
    shown = np.zeros(names, np.uint8)
    digits = np.empty(20, np.uint8)
    for slot in range(slots.shape[0] - 1):
        best = -1
        for module in range(slots[slot], slots[slot + 1]):
            if in_order and not holds[modules[module, RULE]]:
                continue
            watch = modules[module, WATCH]
            rank = modules[module, PRIORITY]
            after = modules[module, AFTER]
            if after > 0:
                rank -= modules[module, FADES] * (seen[watch, 1] // after)
            ranks[module] = rank
            fallback = modules[module, FALLBACK]
            cap = modules[module, CAP]
            below = modules[module, HELD_BELOW]
            if shown[modules[module, NAME]]:
                outcome[module] = ALREADY_SHOWN
            elif not page_holds and not fallback:
                outcome[module] = NOT_ELIGIBLE
            elif not active[module]:
                outcome[module] = INACTIVE
            elif not holds[modules[module, RULE]] or barren[module]:
                outcome[module] = NOT_ELIGIBLE
            elif cap >= 0 and seen[watch, 0] >= cap:
                outcome[module] = CAPPED
            elif (
                below > 0
                and size >= 0
                and bucket_after(np.uint32(modules[module, HELD_STATE]), text, size, digits) < below
            ):
                outcome[module] = HELD_OUT
            else:
                outcome[module] = OUTRANKED
                if best < 0 or (
                    fallback < modules[best, FALLBACK]
                    or (
                        fallback == modules[best, FALLBACK]
                        and (
                            rank > ranks[best]
                            or (rank == ranks[best] and modules[module, TIE] < modules[best, TIE])
                        )
                    )
                ):
                    best = module
                if in_order:
                    break
        out[slot, 0] = best
        out[slot, 1] = 0
        if best >= 0:
            shown[modules[best, NAME]] = 1
            outcome[best] = FALLEN_BACK if modules[best, FALLBACK] else MATCHED
            if size >= 0 and modules[best, VARIES] != 0:
                state = np.uint32(modules[best, ARM_STATE])
                out[slot, 1] = bucket_after(state, text, size, digits)
