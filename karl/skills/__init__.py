"""Skills as their folders tell of them: read, checked, and the rules that come with them."""
