"""The audit: logs folded anew by the pure rules, and compared with all that was kept."""
