"""Closed-set segmenters: a learned classifier on dense features, and the add-ons CAA and ECAC."""
