"""`python -m imgsvc`. Imports nothing at its top: every worker process imports it again."""


def main() -> None:
    from imgsvc.cli.main import cli

    cli(prog_name="imgsvc")


if __name__ == "__main__":
    main()
