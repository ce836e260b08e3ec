"""Real processes and real servers, killed."""
