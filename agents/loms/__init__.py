"""Logistics and Order Management: orders, and the stock they reserve."""
