"""``python -m constructs_lib`` is the console command ``constructs-lib``."""

from constructs_lib.cli.entry import run

if __name__ == "__main__":
    run()
