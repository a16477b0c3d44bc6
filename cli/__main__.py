"""`python -m cli` is `vretr`."""

from cli.main import main

main()
