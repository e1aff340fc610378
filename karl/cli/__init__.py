"""The roof: parse, one call, render."""
