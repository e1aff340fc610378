"""What every process tells of itself: one table of metrics, counted in plain numbers, told to Prometheus."""
