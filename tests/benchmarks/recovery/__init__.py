"""How long a key has no answer after its worker was killed, and that no record is lost."""
