"""Pure: six behavioural signals, one file a version, and one baseline."""
