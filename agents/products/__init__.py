"""Names and prices, from a ProductService that is not ours."""
