"""The `vretr` command: words in, words out. One module a subcommand; no torch at import."""
