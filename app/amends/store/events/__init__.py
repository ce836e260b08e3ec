"""The events: appended in one commit, read by stream or in the order of the feed."""
