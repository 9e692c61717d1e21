"""How do calls come in and go out? gRPC's own part, taken in one thread; see `taking.py`."""
