"""Evaluation: how a reward stands to what is known of outcomes, and what may be learned from them."""
