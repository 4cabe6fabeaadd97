"""`python -m kerasnets` is the same as `kerasnets`."""

from kerasnets.cli import main

if __name__ == "__main__":
    main()
