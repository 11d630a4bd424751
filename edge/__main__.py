# SPDX-License-Identifier: MIT
"""`python -m edge`: the command `edge` without the script."""

from edge.cli import main

if __name__ == "__main__":
    main()
