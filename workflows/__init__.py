"""Business processes that span several systems, and what runs them."""
