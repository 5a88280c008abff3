"""``python -m beryl_groups``."""

from beryl_groups.cli import main

if __name__ == "__main__":
    main(prog_name="python -m beryl_groups")
