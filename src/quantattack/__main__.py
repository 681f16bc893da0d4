"""`python -m quantattack` is the command `quantattack`."""

from quantattack.cli import main

if __name__ == "__main__":
    main()
