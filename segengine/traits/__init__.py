"""Here is history: derive a fact."""
