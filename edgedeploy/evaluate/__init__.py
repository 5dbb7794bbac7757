"""How good a variant is: scores over pictures, then metrics with intervals."""
