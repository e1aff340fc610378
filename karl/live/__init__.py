"""Live routing on an agent's machine: the hook asks, and is told of the skill that was picked, or nothing."""
