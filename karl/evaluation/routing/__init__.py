"""Routing held against labelled sets: reading them, splitting them honestly, and what each head makes of them."""
