"""Routing: which skill a prompt asks for, by exemplars. Pure numpy after the encoder; no storage, no clock.

The way of a prompt: `ngrams.py` and an encoder's vector, `heads.py` (centroid, logistic, hybrid), `reject.py`
(does it fit anything at all). `labelled.py`, `split.py`, `measures.py` and `assess.py` hold all that against
labelled sets.
"""
