"""What people ask of the ledger, kept in SQLite; deletable, rebuilt from the ledger."""
