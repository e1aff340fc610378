"""Pure: events become sessions, sessions become trajectories (schema v2)."""
