"""What neither paper asked."""
