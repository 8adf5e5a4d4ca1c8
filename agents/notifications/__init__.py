"""Notifications about orders: log lines, mails, webhooks."""
