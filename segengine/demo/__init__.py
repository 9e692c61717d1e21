"""What would a store with a believable history look like? A seeded one, made of numpy and Arrow."""

from segengine.demo.store import DemoStore, generate

__all__ = ["DemoStore", "generate"]
