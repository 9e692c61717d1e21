"""segengine: who gets this campaign, and what does this buyer see, exactly, from one rule."""
