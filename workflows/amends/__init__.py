"""The words of a business process, and what runs it."""
