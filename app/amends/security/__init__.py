"""Security: tokens of callers, passwords that are shown nowhere, and addresses of this machine."""
