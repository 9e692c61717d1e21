"""A slow, obvious twin of the engine, which it never imports, and what tests feed to both."""
