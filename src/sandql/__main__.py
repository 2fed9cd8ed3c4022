"""`python -m sandql` is `sandql`."""

from sandql.cli import main

if __name__ == "__main__":
    main()
