"""Jobs: what may run through RQ, the gate before it, and the queues themselves."""
