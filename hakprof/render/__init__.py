"""Report to text: one renderer a format, each returns a string and prints nothing."""
