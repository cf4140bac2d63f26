"""MiniStuff: the drawn benchmark that ships inside."""
