"""The application that is packed: it counts its runs in a group."""

import beryl_groups


def main() -> None:
    with beryl_groups.start("groups.db") as groups:
        if "runs" not in groups:
            groups.create("runs")
        groups.add("runs", f"run:{len(groups.topics('runs')) + 1}")
        groups.broadcast(print, "runs", "remembered", None)


if __name__ == "__main__":
    main()
