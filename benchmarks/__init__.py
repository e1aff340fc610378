"""What KARL costs, measured against a floor in the same run; see benchmarks/README.md."""
