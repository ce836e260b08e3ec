"""What lets sagas go on that are held: by a provider that is down, or by a brake."""
