"""The doctor: checks of this machine, of the project and of the database, each with what is to be done."""
