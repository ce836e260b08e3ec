"""What stood elsewhere in the first layout of Amends, and how a team's files follow."""
