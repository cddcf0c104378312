"""What the Makefile runs before anything of the project is installed. Standard library only."""
