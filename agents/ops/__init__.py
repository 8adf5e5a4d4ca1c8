"""Operators' tools: dead letters, stock files, erasure, audit, local deployment."""
