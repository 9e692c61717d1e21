"""How does a server do under load? h2load asks, open loop, and the answers are checked first.

`python -m benchmarks.load pages|stream|overload` starts a server over a made-up shop in a process
of its own, an Echo behind the same interceptors beside it, and ends both by their ids.
"""
