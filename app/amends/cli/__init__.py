"""The commands of ./run amends, one file for each thing that they are about."""
