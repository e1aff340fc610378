"""The processes behind the stream; thin: read, call karl, write."""
