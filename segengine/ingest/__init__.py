"""Outside data -> tables."""
