"""Exit statuses of a gate, apart from it: a command's help names them, and needs no record for that."""

BELOW, UNTRUSTED = 1, 3
