"""Readers of what agents keep of their own sessions: one module a format, all telling the same facts."""
