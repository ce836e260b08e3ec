"""Long fault tests on a cluster of Patroni."""
