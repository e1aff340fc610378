"""Redis: every key, every connection and every lease goes through here."""
