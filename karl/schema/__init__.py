"""The ground: the shapes of what travels, and nothing that computes."""
