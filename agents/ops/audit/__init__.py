"""The audit: compares a shop's tables, replies and outputs with a replay of its logs."""
