"""``python -m drtool``."""

from drtool.cli.main import main

if __name__ == "__main__":
    main()
