"""What of stored data anybody may see."""
