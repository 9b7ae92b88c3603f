"""The embedded little web, and the tour through it."""
