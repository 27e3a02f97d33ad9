"""`python -m systola`: the command line."""

from systola.cli import main

if __name__ == "__main__":
    main()
