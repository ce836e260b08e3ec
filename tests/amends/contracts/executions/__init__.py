"""What a store keeps of who ran a saga."""
