"""The command line: one file a command, `flags` made from Recipe, and the only module that writes to a terminal."""
