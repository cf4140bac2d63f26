"""Stages 3 and 4: prompt sets x pictures -> scores -> the best prompt set."""
