"""What adapters learn from and are judged by, without I/O: splits, weights, arms, verdicts, claims."""
