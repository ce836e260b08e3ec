"""Long sagas and large stores: what a wake, a signal and a page cost there, and how that grows."""
