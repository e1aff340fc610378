"""The append-only truth: one format, one writer, many readers."""
