"""The loops: arrays in, arrays out. No Arrow, no domain words.

Inputs come first and `out` last. A missing value is the reserved value of its array type
(`segengine.schema.kinds`); bitmaps are uint64 words, row r is bit r % 64 of word r // 64.
"""
