"""Events, aggregates and read models, without a database."""
