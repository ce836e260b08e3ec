"""What stands between clients, servers and databases: proxies, poolers, several hosts."""
