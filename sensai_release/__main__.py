"""`python -m sensai_release`."""

from sensai_release.cli import main

if __name__ == "__main__":
    main()
