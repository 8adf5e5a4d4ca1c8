"""Logistics and Order Management: orders, and the stock that they reserve."""
