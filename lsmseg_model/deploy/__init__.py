"""Models as files for other runtimes, and such files run without torch."""
