"""Who may call, what is shown nowhere, and which addresses mean this machine."""
