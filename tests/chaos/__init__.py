"""A campaign of faults against a shop of real processes, and what must hold after each."""
