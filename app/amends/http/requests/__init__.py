"""Requests on their way in: from the connection to a body that can be stored."""
