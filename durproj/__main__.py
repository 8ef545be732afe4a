"""`python -m durproj` is `durproj`."""

from durproj.cli.app import main

main()
