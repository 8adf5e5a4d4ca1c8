"""A stand-in of ProductService, for machines without the real service."""
