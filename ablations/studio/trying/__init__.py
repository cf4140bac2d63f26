"""The page Try: try a prompt on a picture."""
