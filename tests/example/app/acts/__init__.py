"""Acts of operators, tried out on one saga and done on many."""
