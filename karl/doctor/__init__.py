"""The doctor: every link of the line looked at by itself, and one event sent through all of them."""
