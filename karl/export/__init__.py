"""What leaves the ledger for others: trajectories as schema v2, as chats to train on, and as ATIF."""
