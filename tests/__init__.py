"""What is true of Amends, as sentences that are run."""
