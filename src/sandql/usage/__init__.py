"""What runs cost: the ledger and its quotas."""
