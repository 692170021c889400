"""``python -m klimit``."""

from klimit.cli import main

if __name__ == "__main__":
    main()
