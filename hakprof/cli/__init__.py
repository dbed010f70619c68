"""One file a command: parse, call, print; nothing else."""
