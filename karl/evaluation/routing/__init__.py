"""Routing held against labelled sets: read, split so that nothing is in two parts, and measured."""
