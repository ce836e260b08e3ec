"""The words of a domain: events, aggregates and read models, in plain Python without input or output."""
