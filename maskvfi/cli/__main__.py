"""`python -m maskvfi.cli`."""

from maskvfi.cli.main import main

main()
