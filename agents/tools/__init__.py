"""Tools of whoever runs the shop: `python -m agents dlq`, `stock`, `forget`, `ui`."""
