"""A cluster in one thread: several servers, their store and the network between them, in virtual time from one seed."""
