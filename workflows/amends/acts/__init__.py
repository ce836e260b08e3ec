"""Acts on sagas that a person decides on: what each would lead to, found out without effects, and acts on many."""
