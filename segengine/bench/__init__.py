"""Is it as fast as it says, and is the answer right?

The same cases drive a test of answers and the timings; every engine's answer is checked before
any is timed.
"""
