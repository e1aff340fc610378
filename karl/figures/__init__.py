"""What the scores say together: statistics over the views, agent by agent."""
