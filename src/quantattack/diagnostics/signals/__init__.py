"""How far an error signal reaches the input."""
