"""`python -m karl.cli`: the command line without its script."""

from karl.cli.main import main

main()
