"""Which rows have a code, or a value, within bounds? One 64-bit word per 64 rows.

The comparison of 64 rows is one vector instruction or a few: `<64 x T>` loaded, compared,
and its 64 result bits taken as one word (0.4 ms for 10 million uint8 rows while in cache;
the same loop in plain Numba takes 1.3 to 11 ms).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels.jit import JIT_OFF, Words, inlined, kernel

SET, AND, OR = 0, 1, 2
"""What a scan does with the words already in `out`."""


def _word_within_twin(codes: Any, word: int, first: Any, span: Any) -> Any:
    """Bit i: codes[64 * word + i] - first <= span, unsigned. The twin of the intrinsic."""
    block = codes[64 * word : 64 * word + 64]
    with np.errstate(over="ignore"):
        bits = (block - first) <= span
    return np.packbits(bits, bitorder="little").view(np.uint64)[0]


if JIT_OFF:
    word_within = _word_within_twin
else:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def word_within(typingctx, codes, word, first, span):  # type: ignore[no-untyped-def]
        """Bit i: codes[64 * word + i] - first <= span, unsigned."""
        signature = types.uint64(codes, types.intp, codes.dtype, codes.dtype)
        bits = codes.dtype.bitwidth
        # Groups of 64 bytes or fewer lanes: wider vectors spill registers.
        lanes = 64 if bits == 8 else 512 // bits

        def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
            array, word, first, span = args
            data = context.make_array(sig.args[0])(context, builder, array).data
            i64, element = ir.IntType(64), ir.IntType(bits)
            vector = ir.VectorType(element, lanes)
            undefined = ir.Constant(vector, ir.Undefined)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

            def spread(scalar):  # type: ignore[no-untyped-def]
                one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
                return builder.shuffle_vector(one, undefined, zeros)

            lows, spans = spread(first), spread(span)  # type: ignore[no-untyped-call]
            row = builder.mul(word, ir.Constant(i64, 64))
            result = ir.Constant(i64, 0)
            for group in range(0, 64, lanes):
                place = builder.gep(data, [builder.add(row, ir.Constant(i64, group))])
                loaded = builder.load(builder.bitcast(place, vector.as_pointer()), align=bits // 8)
                hits = builder.icmp_unsigned("<=", builder.sub(loaded, lows), spans)
                packed = builder.bitcast(hits, ir.IntType(lanes))
                if lanes < 64:
                    packed = builder.shl(builder.zext(packed, i64), ir.Constant(i64, group))
                result = builder.or_(result, packed)
            return result

        return signature, generate


if JIT_OFF:

    def trailing_zeros(word: Any) -> int:
        """The index of the lowest set bit; the word is not zero."""
        return (int(word) & -int(word)).bit_length() - 1

    def ones_of(word: Any) -> int:
        """How many bits of the word are set."""
        return int(word).bit_count()

else:

    @intrinsic
    def trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
        """The index of the lowest set bit; the word is not zero."""
        signature = types.int64(types.uint64)

        def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return signature, generate

    @intrinsic
    def ones_of(typingctx, word):  # type: ignore[no-untyped-def]
        """How many bits of the word are set."""
        signature = types.int64(types.uint64)

        def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
            return builder.ctpop(args[0])

        return signature, generate


BLOCK_WORDS = 256
"""Words of a block of 16,384 rows, the codes of which are known to lie between two bounds."""


@inlined
def _is_empty(words: Words, begin: int, end: int) -> bool:
    found = np.uint64(0)
    for word in range(begin, end):
        found |= words[word]
    return found == 0


@inlined
def _all_rows(begin: int, end: int, mode: int, out: Words) -> None:
    if mode != AND:
        for word in range(begin, end):
            out[word] = ~np.uint64(0)


@inlined
def _no_rows(begin: int, end: int, mode: int, out: Words) -> None:
    if mode != OR:
        for word in range(begin, end):
            out[word] = np.uint64(0)


@kernel
def scan_codes(
    codes: NDArray[np.uint8],
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    first: np.uint8,
    span: np.uint8,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows whose code is in [first, first + span].

    A block whose codes all lie inside or outside is not read.
    codes: uint8[rows, padded to 64]  block_least, block_greatest: uint8[blocks]
    out: uint64[words]
    """
    last = first + span
    word = begin
    while word < end:
        block = word // BLOCK_WORDS
        stop = min(end, (block + 1) * BLOCK_WORDS)
        if block_least[block] > last or block_greatest[block] < first:
            _no_rows(word, stop, mode, out)
        elif block_least[block] >= first and block_greatest[block] <= last:
            _all_rows(word, stop, mode, out)
        elif mode == SET:
            for place in range(word, stop):
                out[place] = word_within(codes, place, first, span)
        elif mode == AND:
            if not _is_empty(out, word, stop):
                for place in range(word, stop):
                    out[place] &= word_within(codes, place, first, span)
        else:
            for place in range(word, stop):
                out[place] |= word_within(codes, place, first, span)
        word = stop


@kernel
def scan_codes_exact(
    codes: NDArray[np.uint8],
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    first: np.uint8,
    span: np.uint8,
    edge_low: np.uint8,
    edge_high: np.uint8,
    values: Any,
    low: Any,
    high: Any,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """As `scan_codes`, and rows whose code is an edge count when low <= value <= high.

    [first, first + span] includes the edges; only rows in an edge look at `values`.
    codes: uint8[rows]  values: T[rows]  out: uint64[words]
    """
    one = np.uint64(1)
    zero = np.uint8(0)
    last = first + span
    inner_first, inner_last = first, last
    if edge_low == first:
        inner_first = first + np.uint8(1)
    if edge_high == last:
        inner_last = last - np.uint8(1)
    word = begin
    while word < end:
        block = word // BLOCK_WORDS
        stop = min(end, (block + 1) * BLOCK_WORDS)
        least, greatest = block_least[block], block_greatest[block]
        if least > last or greatest < first:
            _no_rows(word, stop, mode, out)
            word = stop
            continue
        if least >= inner_first and greatest <= inner_last and inner_first <= inner_last:
            _all_rows(word, stop, mode, out)
            word = stop
            continue
        if mode == AND and _is_empty(out, word, stop):
            word = stop
            continue
        for place in range(word, stop):
            hits = word_within(codes, place, first, span)
            edges = word_within(codes, place, edge_low, zero) | word_within(
                codes, place, edge_high, zero
            )
            if mode == AND:
                edges &= out[place]
            while edges != 0:
                low_bit = edges & (~edges + one)
                value = values[64 * place + trailing_zeros(edges)]
                if not (low <= value <= high):
                    hits &= ~low_bit
                edges &= ~low_bit
            if mode == SET:
                out[place] = hits
            elif mode == AND:
                out[place] &= hits
            else:
                out[place] |= hits
        word = stop


@kernel
def scan_ranges(
    codes: NDArray[np.uint8],
    block_least: NDArray[np.uint8],
    block_greatest: NDArray[np.uint8],
    firsts: NDArray[np.uint8],
    spans: NDArray[np.uint8],
    edges: NDArray[np.uint8],
    values: Any,
    lows: Any,
    highs: Any,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows whose value lies in one of several ranges, in one pass.

    Codes in [firsts, firsts + spans] hold hits alone; the rows of `edges` look at their value.
    codes: uint8[rows, padded to 64]  firsts, spans: uint8[runs]  edges: uint8[n]
    values: T[rows]  lows, highs: T[ranges], ascending and disjoint  out: uint64[words]
    """
    one = np.uint64(1)
    zero = np.uint8(0)
    least_code, greatest_code = 255, 0
    for run in range(firsts.shape[0]):
        least_code = min(least_code, int(firsts[run]))
        greatest_code = max(greatest_code, int(firsts[run]) + int(spans[run]))
    for edge in range(edges.shape[0]):
        least_code = min(least_code, int(edges[edge]))
        greatest_code = max(greatest_code, int(edges[edge]))
    word = begin
    while word < end:
        block = word // BLOCK_WORDS
        stop = min(end, (block + 1) * BLOCK_WORDS)
        if block_least[block] > greatest_code or block_greatest[block] < least_code:
            _no_rows(word, stop, mode, out)
            word = stop
            continue
        if mode == AND and _is_empty(out, word, stop):
            word = stop
            continue
        for place in range(word, stop):
            hits = np.uint64(0)
            for run in range(firsts.shape[0]):
                hits |= word_within(codes, place, firsts[run], spans[run])
            open_rows = np.uint64(0)
            for edge in range(edges.shape[0]):
                open_rows |= word_within(codes, place, edges[edge], zero)
            if mode == AND:
                open_rows &= out[place]
            while open_rows != 0:
                low_bit = open_rows & (~open_rows + one)
                if is_within(values[64 * place + trailing_zeros(open_rows)], lows, highs):
                    hits |= low_bit
                open_rows ^= low_bit
            if mode == SET:
                out[place] = hits
            elif mode == AND:
                out[place] &= hits
            else:
                out[place] |= hits
        word = stop


@inlined
def is_within(value: Any, lows: Any, highs: Any) -> bool:
    """Whether a value lies in one of these ranges, ascending and disjoint."""
    first, last = 0, lows.shape[0]
    while first < last:
        middle = (first + last) >> 1
        if lows[middle] <= value:
            first = middle + 1
        else:
            last = middle
    return first > 0 and value <= highs[first - 1]


@kernel
def scan_within(
    values: Any, first: Any, span: Any, begin: int, end: int, mode: int, out: Words
) -> None:
    """Words [begin, end): rows whose unsigned value - first <= span.

    values: uint8, uint32 or uint64[rows, padded to 64]  out: uint64[words]
    """
    for word in range(begin, end):
        hits = word_within(values, word, first, span)
        if mode == SET:
            out[word] = hits
        elif mode == AND:
            out[word] &= hits
        else:
            out[word] |= hits


@kernel
def scan_values(
    values: NDArray[np.float64],
    low: np.float64,
    high: np.float64,
    rows: int,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows with low <= value <= high.  values: float64[rows]"""
    for word in range(begin, end):
        hits = np.uint64(0)
        for bit in range(min(64, rows - 64 * word)):
            value = values[64 * word + bit]
            hits |= np.uint64(low <= value <= high) << np.uint64(bit)
        if mode == SET:
            out[word] = hits
        elif mode == AND:
            out[word] &= hits
        else:
            out[word] |= hits


@kernel
def probe(
    places: NDArray[np.int32],
    words: Words,
    unplaced: bool,
    begin: int,
    end: int,
    mode: int,
    out: Words,
) -> None:
    """Words [begin, end): rows whose place is in another bitmap; `unplaced`: rows without one.

    Under AND only rows that are still in are looked up.
    places: int32[rows, padded to 64], -1 for none  words: uint64[words of the other]
    out: uint64[words]
    """
    one = np.uint64(1)
    for word in range(begin, end):
        rest = out[word] if mode == AND else ~np.uint64(0)
        hits = np.uint64(0)
        while rest != 0:
            low_bit = rest & (~rest + one)
            place = places[64 * word + trailing_zeros(rest)]
            if place < 0:
                if unplaced:
                    hits |= low_bit
            elif (words[place >> 6] >> np.uint64(place & 63)) & one:
                hits |= low_bit
            rest ^= low_bit
        if mode == OR:
            out[word] |= hits
        else:
            out[word] = hits


@kernel
def words_of_truth(
    truth: NDArray[np.int8], wanted: np.int8, begin: int, mode: int, out: Words
) -> None:
    """Set the words from `begin` on to the rows whose truth is the wanted one.

    truth: int8[rows of this block, from row 64 * begin on]  out: uint64[words]
    """
    rows = truth.shape[0]
    for index in range((rows + 63) // 64):
        hits = np.uint64(0)
        for bit in range(min(64, rows - 64 * index)):
            if truth[64 * index + bit] == wanted:
                hits |= np.uint64(1) << np.uint64(bit)
        word = begin + index
        if mode == SET:
            out[word] = hits
        elif mode == AND:
            out[word] &= hits
        else:
            out[word] |= hits
