"""The commands of ./run amends, one file for each noun."""
