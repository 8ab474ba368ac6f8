"""`python -m segreg` is the command `segreg`."""

from segreg.cli.main import main

if __name__ == "__main__":
    main()
