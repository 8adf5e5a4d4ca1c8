"""Tools of whoever runs the shop: `python -m agents dlq`, `python -m agents stock`."""
