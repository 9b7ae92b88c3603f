"""Processes of ours, forked from one that has loaded what they are made of."""
