"""Copies of the ledger on other machines: what a source serves, and what a follower keeps."""
