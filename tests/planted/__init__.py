"""Bugs to plant into a copy of the shop, each of which its own tests must notice."""
