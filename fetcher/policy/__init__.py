"""Pure decisions: no await, clock, random source, I/O or logging; time and chance are arguments."""
