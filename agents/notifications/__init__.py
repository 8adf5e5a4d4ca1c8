"""Telling people what became of their orders."""
