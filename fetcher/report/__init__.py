"""Tallies and events, for people and for machines."""
