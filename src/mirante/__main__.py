"""`python -m mirante` is `mirante`."""

from mirante.cli import main

if __name__ == "__main__":
    main()
