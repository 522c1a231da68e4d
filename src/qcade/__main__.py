"""`python -m qcade` is the command `qcade`."""

from qcade.cli import main

if __name__ == "__main__":
    main()
