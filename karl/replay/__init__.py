"""A trajectory told to a person: moment by moment, its score explained, and as a page to keep."""
