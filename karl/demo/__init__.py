"""A scripted coding agent, so that the line can be seen at work without a real one."""
