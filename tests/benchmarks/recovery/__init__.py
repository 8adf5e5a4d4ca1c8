"""How long a key has no answer when its worker is killed, and that nothing is lost."""
