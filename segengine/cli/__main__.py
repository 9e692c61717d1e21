"""`python -m segengine.cli` is `segengine`."""

from segengine.cli import main

if __name__ == "__main__":
    main()
