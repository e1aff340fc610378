"""Questions and answers made from commits, by a rule, and checked by what shares no code with it."""
