"""Runs and chosen pictures as plain files, to put on any web space.

site.py       the folder, its index, the runs with their reports
pictures.py   pictures under the prompt sets of a run: segmentations and cost maps
"""
