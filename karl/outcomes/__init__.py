"""What became of the work: the commits that hold a turn's edits, whether they stayed, what tests said."""
