"""Tools of whoever runs the shop: `python -m agents dlq`, `stock` and `forget`."""
