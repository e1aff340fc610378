"""What tool calls did: shell commands, editors, patches and scripts taken apart into acts. Pure."""
