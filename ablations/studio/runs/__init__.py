"""The page Runs: leaderboard, runs, and what goes on."""
