"""Here is a row: its value."""
